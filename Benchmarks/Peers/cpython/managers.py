# SPDX-License-Identifier: Apache-2.0
"""Calls of a manager."""
import multiprocessing
import time

import sampling

COUNT = 5_000


def append(seconds, _):
    with multiprocessing.Manager() as manager:
        values = manager.list()
        return sampling.times(seconds, lambda: values.append(1), batch=10)


def create(seconds, _):
    with multiprocessing.Manager() as manager:
        return sampling.times(seconds, lambda: manager.list())


def append_rate(_, __):
    # There is no call without waiting for its answer.
    with multiprocessing.Manager() as manager:
        values = manager.list()
        values.append(0)
        begin = time.monotonic_ns()
        for number in range(COUNT):
            values.append(number)
        return [COUNT / ((time.monotonic_ns() - begin) / 1e9)]


METRICS = {
    "manager.append": ("ns", append),
    "manager.create": ("ns", create),
    "manager.pipelined.rate": ("1/s", append_rate),
}
