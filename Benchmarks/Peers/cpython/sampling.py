# SPDX-License-Identifier: Apache-2.0
"""The loop that measures one operation after another, as the Swift and the C programs have it."""
import time

MINIMUM_COUNT = 5
MAXIMUM_COUNT = 5000
WARM_UP_COUNT = 3


def times(seconds, operation, batch=1, pause=0.0):
    """Does an operation again and again; returns how many nanoseconds each took."""
    for _ in range(WARM_UP_COUNT):
        operation()
    samples = []
    end = time.monotonic_ns() + int(seconds * 1e9)
    while len(samples) < MINIMUM_COUNT or (time.monotonic_ns() < end and len(samples) < MAXIMUM_COUNT):
        if pause > 0:
            time.sleep(pause)
        begin = time.monotonic_ns()
        for _ in range(batch):
            operation()
        samples.append((time.monotonic_ns() - begin) / batch)
    return samples
