# SPDX-License-Identifier: Apache-2.0
"""What workers are asked to do."""

WORKERS = 2


def identity(n):
    return n


def square(n):
    return n * n


def make_bytes(count):
    return b"\7" * count


def length(data):
    return len(data)
