# SPDX-License-Identifier: Apache-2.0
"""Calls through mpire's pool of two workers."""
import mpire
import sampling
from functions import WORKERS, identity, square


def rate(count, operations):
    """A metric that tells how many of `count` operations are done in a second."""

    def work(seconds):
        with mpire.WorkerPool(n_jobs=WORKERS, start_method="forkserver", keep_alive=True) as pool:
            return [count / (sample / 1e9) for sample in sampling.times(seconds, lambda: operations(pool, count))]

    return work


def call(seconds):
    with mpire.WorkerPool(n_jobs=WORKERS, start_method="forkserver", keep_alive=True) as pool:
        return sampling.times(seconds, lambda: pool.apply(identity, (1,)))


def drain(results):
    for _ in results:
        pass


METRICS = {
    "call.roundtrip": ("ns", call),
    "map.chunk1.rate": ("1/s", rate(2_000, lambda pool, count: pool.map(square, range(count), chunk_size=1))),
    "map.default.rate": ("1/s", rate(200_000, lambda pool, count: pool.map(square, range(count)))),
    "imap.unordered.rate": (
        "1/s",
        rate(2_000, lambda pool, count: drain(pool.imap_unordered(square, range(count), chunk_size=1))),
    ),
}
