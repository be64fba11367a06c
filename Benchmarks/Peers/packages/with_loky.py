# SPDX-License-Identifier: Apache-2.0
"""Calls through loky's reusable executor of two workers."""
import loky
import sampling
from functions import WORKERS, identity, kept_bytes, length, make_bytes, square


def in_pool(operations):
    """A metric that times `operations(executor)`."""

    def work(seconds):
        executor = loky.ProcessPoolExecutor(WORKERS)
        executor.submit(identity, 1).result()
        try:
            return sampling.times(seconds, lambda: operations(executor))
        finally:
            executor.shutdown(kill_workers=True)

    return work


def rate(count, operations):
    """A metric that tells how many of `count` operations are done in a second."""
    times = in_pool(lambda executor: operations(executor, count))
    return lambda seconds: [count / (sample / 1e9) for sample in times(seconds)]


def call_async(executor, count):
    for future in [executor.submit(identity, n) for n in range(count)]:
        future.result()


METRICS = {
    "call.roundtrip": ("ns", in_pool(lambda executor: executor.submit(identity, 1).result())),
    "call.async.rate": ("1/s", rate(1_000, call_async)),
    "map.chunk1.rate": ("1/s", rate(1_000, lambda e, count: list(e.map(square, range(count), chunksize=1)))),
    "map.default.rate": ("1/s", rate(200_000, lambda e, count: list(e.map(square, range(count), chunksize=1_000)))),
    "result.256MiB": ("ns", in_pool(lambda executor: executor.submit(kept_bytes, 256 << 20).result())),
    "argument.256MiB": (
        "ns",
        in_pool(lambda executor, data=make_bytes(256 << 20): executor.submit(length, data).result()),
    ),
}
