# SPDX-License-Identifier: Apache-2.0
"""Calls through pebble's pool, and what it does about a worker that is killed."""
import multiprocessing
import os
import signal
import time

import pebble
import sampling
from functions import identity

context = multiprocessing.get_context("forkserver")


def call(seconds):
    with pebble.ProcessPool(max_workers=2, context=context) as pool:
        return sampling.times(seconds, lambda: pool.schedule(identity, args=(1,)).result())


def linger(path):
    with open(path, "w") as file:
        file.write(f"{os.getpid()}\n")
    while True:
        signal.pause()


def pid_in(path):
    """Waits until the worker has told its number."""
    while True:
        with open(path) as file:
            text = file.read()
        if text.endswith("\n"):
            return int(text)
        time.sleep(0.001)


def crash(is_replaced):
    """A metric that kills a busy worker, until that is known or another one has done something."""

    def work(seconds):
        path = f"/dev/shm/benchmarks-{os.getpid()}"
        samples = []
        try:
            with pebble.ProcessPool(max_workers=1, context=context) as pool:
                first = time.monotonic_ns()
                while sampling.wants_more(len(samples), time.monotonic_ns() - first, int(seconds * 1e9)):
                    open(path, "w").close()
                    future = pool.schedule(linger, args=(path,))
                    pid = pid_in(path)
                    begin = time.monotonic_ns()
                    os.kill(pid, signal.SIGKILL)
                    try:
                        future.result()
                    except pebble.ProcessExpired:
                        pass
                    if is_replaced:
                        pool.schedule(identity, args=(1,)).result()
                    samples.append(time.monotonic_ns() - begin)
        finally:
            os.unlink(path)
        return samples

    return work


METRICS = {
    "call.roundtrip": ("ns", call),
    "crash.detect": ("ns", crash(False)),
    "crash.replace": ("ns", crash(True)),
}
