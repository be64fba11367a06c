# SPDX-License-Identifier: Apache-2.0
"""Calls through a pool of two workers."""
import functools
import multiprocessing

import sampling

WORKERS = 2

context = multiprocessing.get_context("forkserver")


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


def add_length(n, data):
    return n + len(data)


def start(seconds, _):
    context.Pool(WORKERS).terminate()

    def operations():
        with context.Pool(WORKERS) as pool:
            for result in [pool.apply_async(identity, (n,)) for n in range(WORKERS)]:
                result.get()

    return sampling.times(seconds, operations)


def warm_pool():
    """Returns a pool whose workers have begun to work."""
    pool = context.Pool(WORKERS)
    pool.map(identity, range(8 * WORKERS), chunksize=1)
    return pool


def in_pool(operations, pause=0.0):
    """A metric that times `operations(pool)`."""

    def work(seconds, _):
        with warm_pool() as pool:
            return sampling.times(seconds, lambda: operations(pool), pause=pause)

    return work


def rate(count, operations):
    """A metric that tells how many of `count` operations are done in a second."""

    def work(seconds, _):
        with warm_pool() as pool:
            return [count / (sample / 1e9) for sample in sampling.times(seconds, lambda: operations(pool, count))]

    return work


def call_async(pool, count):
    for result in [pool.apply_async(identity, (n,)) for n in range(count)]:
        result.get()


def drain(results):
    for _ in results:
        pass


def reuse(seconds, _):
    data = make_bytes(8 << 20)
    with context.Pool(WORKERS) as pool:
        work = lambda: pool.starmap(add_length, [(n, data) for n in range(40)], chunksize=1)
        return [sample / 40 for sample in sampling.times(seconds, work)]


# Fewer operations at a time than those of the others, because they take so long; rates are by time.
METRICS = {
    "pool.start.2": ("ns", start),
    "call.roundtrip": ("ns", in_pool(lambda pool: pool.apply(identity, (1,)))),
    "call.roundtrip.pinned": ("ns", in_pool(lambda pool: pool.apply(identity, (1,)))),
    "call.roundtrip.blocked": ("ns", in_pool(lambda pool: pool.apply(identity, (1,)), pause=0.002)),
    "call.async.rate": ("1/s", rate(5_000, call_async)),
    "map.chunk1.rate": ("1/s", rate(10_000, lambda pool, count: pool.map(square, range(count), chunksize=1))),
    "map.default.rate": ("1/s", rate(500_000, lambda pool, count: pool.map(square, range(count)))),
    "imap.unordered.rate": (
        "1/s",
        rate(10_000, lambda pool, count: drain(pool.imap_unordered(square, range(count), chunksize=1))),
    ),
    "imap.default.rate": ("1/s", rate(10_000, lambda pool, count: drain(pool.imap(square, range(count))))),
    "result.256MiB": ("ns", in_pool(lambda pool: pool.apply(kept_bytes, (256 << 20,)))),
    "argument.256MiB": ("ns", in_pool(lambda pool, data=make_bytes(256 << 20): pool.apply(length, (data,)))),
    "array.reuse.8MiB": ("ns", reuse),
}
