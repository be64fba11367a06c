# SPDX-License-Identifier: Apache-2.0
"""How near a map comes to what its workers' processors could do at best."""
import multiprocessing
import os
import time

import sampling

ITEMS = 96

context = multiprocessing.get_context("forkserver")


def compute(seed):
    state = seed | 1
    for _ in range(5000):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
    return state >> 33


def timed(operation):
    begin = time.monotonic_ns()
    operation()
    return time.monotonic_ns() - begin


def scaling(workers):
    def measure(seconds, _):
        processors = min(workers, len(os.sched_getaffinity(0)))
        samples = []
        with context.Pool(workers) as pool:
            pool.map(compute, range(ITEMS))
            first = time.monotonic_ns()
            while sampling.wants_more(len(samples), time.monotonic_ns() - first, int(seconds * 1e9)):
                alone = timed(lambda: [compute(item) for item in range(ITEMS)])
                samples.append(alone / processors / timed(lambda: pool.map(compute, range(ITEMS))))
        return samples

    return "of 1", measure


METRICS = {f"scaling.{workers}": scaling(workers) for workers in (1, 2, 4, 8)}
