# SPDX-License-Identifier: Apache-2.0
"""What becomes of children whose parent is killed."""
import ctypes
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import sampling

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 5_000_000_000

context = multiprocessing.get_context("forkserver")


def linger(ready):
    ready.release()
    while True:
        signal.pause()


def live():
    """A program with a manager, two workers, of which one is busy, and two daemons. It waits to be killed."""
    ready = context.Semaphore(0)
    manager = context.Manager()
    manager.list().append(1)
    pool = context.Pool(2, initializer=keep, initargs=(ready,))
    pool.apply_async(linger_in_pool)
    for _ in range(2):
        context.Process(target=linger, args=(ready,), daemon=True).start()
    for _ in range(3):
        ready.acquire()
    print("ready", flush=True)
    while True:
        signal.pause()


def keep(ready):
    global semaphore
    semaphore = ready


def linger_in_pool():
    linger(semaphore)


def are_gone(deadline):
    """Waits for all children, those of the dead included, but not for ever."""
    while time.monotonic_ns() < deadline:
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            return True
        time.sleep(0.00005)
    return False


def killed(seconds, _):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    samples = []
    first = time.monotonic_ns()
    while sampling.wants_more(len(samples), time.monotonic_ns() - first, int(seconds * 1e9)):
        command = [sys.executable, "-B", str(pathlib.Path(__file__).parent), "--family"]
        family = subprocess.Popen(command, stdout=subprocess.PIPE)
        family.stdout.readline()
        begin = time.monotonic_ns()
        family.kill()
        if not are_gone(begin + PATIENCE):
            sys.exit(f"some of its processes still run {PATIENCE // 1_000_000_000} s later")
        samples.append(time.monotonic_ns() - begin)
    return samples


METRICS = {"parent.killed": ("ns", killed)}
