# SPDX-License-Identifier: Apache-2.0
"""What workers are asked to do."""
import functools

WORKERS = 2


def identity(n):
    return n


def square(n):
    return n * n


def make_bytes(count):
    return b"\7" * count


@functools.cache
def kept_bytes(count):
    """Bytes that a worker has: made once, since making them takes long."""
    return make_bytes(count)


def length(data):
    return len(data)
