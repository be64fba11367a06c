# SPDX-License-Identifier: Apache-2.0
"""Locks and values, alone and by two processes at once."""
import multiprocessing
import time

import sampling

BATCH = 1000
STRIDE = 100
LEAD = 200_000_000

context = multiprocessing.get_context("forkserver")


def uncontended(seconds, _):
    lock = context.Lock()

    def operations():
        for _ in range(BATCH):
            lock.acquire()
            lock.release()

    return [sample / BATCH for sample in sampling.times(seconds, operations)]


def acquire_and_release(lock):
    for _ in range(STRIDE):
        lock.acquire()
        lock.release()


def increment(value):
    for _ in range(STRIDE):
        with value.get_lock():
            value.value += 1


def repeat(operations, shared, counts, index, start, end):
    """Does the operations from one moment to the other, and notes how many."""
    time.sleep(max(0, start - time.monotonic_ns()) / 1e9)
    count = 0
    while time.monotonic_ns() < end:
        operations(shared)
        count += STRIDE
    counts[index] = count


def race(seconds, operations, shared):
    """Has two processes do the same. Returns how often they did it together, and the nanoseconds for each."""
    counts = context.Array("q", 2, lock=False)
    duration = int(seconds * 1e9)
    start = time.monotonic_ns() + LEAD
    children = [
        context.Process(target=repeat, args=(operations, shared, counts, index, start, start + duration))
        for index in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode != 0:
            raise RuntimeError(f"a child ended badly: {child}")
    return sum(counts), duration / sum(counts)


def contended(seconds, _):
    return [race(seconds, acquire_and_release, context.Lock())[1]]


def value_increment(seconds, _):
    value = context.Value("q", 0)
    count, each = race(seconds, increment, value)
    if value.value != count:
        raise RuntimeError(f"{count} increments gave {value.value}")
    return [each]


METRICS = {
    "lock.uncontended": ("ns", uncontended),
    "lock.contended.2": ("ns", contended),
    "value.increment.2": ("ns", value_increment),
}
