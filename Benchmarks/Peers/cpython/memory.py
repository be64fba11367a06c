# SPDX-License-Identifier: Apache-2.0
"""What an idle child of the fork server costs."""
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import time

COUNT = 8

context = multiprocessing.get_context("forkserver")


def nothing():
    pass


def idle(ready):
    ready.release()
    while True:
        signal.pause()


def memory_use(pids, field):
    """Returns the bytes that a line of smaps_rollup tells, for all those processes together."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as lines:
            total += next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) * 1024
    return total


def measure():
    """Returns the bytes for each child: of all memory of the program, and of pages that only the child has."""
    first = context.Process(target=nothing)
    first.start()
    first.join()
    others = [os.getpid(), multiprocessing.forkserver._forkserver._forkserver_pid]
    before = memory_use(others, "Pss")
    ready = context.Semaphore(0)
    children = [context.Process(target=idle, args=(ready,), daemon=True) for _ in range(COUNT)]
    for child in children:
        child.start()
    for _ in children:
        ready.acquire()
    # The last of them is about to wait.
    time.sleep(0.02)
    pids = [child.pid for child in children]
    after = memory_use(others + pids, "Pss")
    own = memory_use(pids, "Private_Dirty") + memory_use(pids, "Private_Clean")
    for child in children:
        child.kill()
    for child in children:
        child.join()
    return (after - before) / COUNT, own / COUNT


METRICS = {
    "worker.memory": ("B", lambda *_: [measure()[0]]),
    "worker.memory.private": ("B", lambda *_: [measure()[1]]),
}
