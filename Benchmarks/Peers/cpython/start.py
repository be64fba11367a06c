# SPDX-License-Identifier: Apache-2.0
"""Starting and joining a process that does nothing."""
import multiprocessing
import time

import sampling


def nothing():
    pass


def start_and_join(method):
    process = multiprocessing.get_context(method).Process(target=nothing)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"a child ended badly: {process}")


def start_join(method, pause=0.0):
    return "ns", lambda seconds, _: sampling.times(seconds, lambda: start_and_join(method), pause=pause)


def cold(_, first_statement):
    start_and_join("forkserver")
    return [time.monotonic_ns() - first_statement]


METRICS = {
    "start.join.forkserver": start_join("forkserver"),
    # It keeps no spares; the pause is the same.
    "start.join.forkserver.spare": start_join("forkserver", pause=0.003),
    "start.join.spawn": start_join("spawn"),
    "start.join.fork": start_join("fork"),
    "start.cold": ("ns", cold),
}
