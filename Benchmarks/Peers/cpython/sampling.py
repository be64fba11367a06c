# SPDX-License-Identifier: Apache-2.0
"""The loop that measures one operation after another, as the Swift and the C programs have it."""
import time

MINIMUM_COUNT = 5
LEAST_COUNT = 2
LONG_FACTOR = 4
MAXIMUM_COUNT = 5000
WARM_UP_COUNT = 3


def times(seconds, operation, batch=1, pause=0.0):
    """Does an operation again and again; returns how many nanoseconds each took."""
    budget = int(seconds * 1e9)
    first = time.monotonic_ns()
    for _ in range(WARM_UP_COUNT):
        operation()
        if time.monotonic_ns() - first > budget:
            break
    samples = []
    first = time.monotonic_ns()
    while wants_more(len(samples), time.monotonic_ns() - first, budget):
        if pause > 0:
            time.sleep(pause)
        begin = time.monotonic_ns()
        for _ in range(batch):
            operation()
        samples.append((time.monotonic_ns() - begin) / batch)
    return samples


def wants_more(count, spent, budget):
    """Whether to go on after so many samples in so many nanoseconds."""
    if count < LEAST_COUNT:
        return True
    if count < MINIMUM_COUNT:
        return spent < budget * LONG_FACTOR
    return spent < budget and count < MAXIMUM_COUNT
