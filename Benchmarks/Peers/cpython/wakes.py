# SPDX-License-Identifier: Apache-2.0
"""What it takes to wake another process: half of a round trip."""
import multiprocessing

import sampling

BATCH = 100

context = multiprocessing.get_context("forkserver")


def repeat(operation, *shared):
    while True:
        operation(*shared)


def halves(seconds, round_trip, answer, *shared):
    child = context.Process(target=repeat, args=(answer, *shared), daemon=True)
    child.start()

    def operations():
        for _ in range(BATCH):
            round_trip(*shared)

    samples = [sample / BATCH / 2 for sample in sampling.times(seconds, operations)]
    child.kill()
    child.join()
    return samples


def ask_by_semaphore(there, back):
    there.release()
    back.acquire()


def answer_by_semaphore(there, back):
    there.acquire()
    back.release()


def ask_by_event(there, back):
    there.set()
    back.wait()
    back.clear()


def answer_by_event(there, back):
    there.wait()
    there.clear()
    back.set()


def ask_by_condition(condition, turn):
    with condition:
        turn[0] = 1
        condition.notify()
        condition.wait_for(lambda: turn[0] == 0)


def answer_by_condition(condition, turn):
    with condition:
        condition.wait_for(lambda: turn[0] == 1)
        turn[0] = 0
        condition.notify()


def pass_twice(barrier):
    barrier.wait()
    barrier.wait()


def semaphore(seconds, _):
    return halves(seconds, ask_by_semaphore, answer_by_semaphore, context.Semaphore(0), context.Semaphore(0))


def event(seconds, _):
    return halves(seconds, ask_by_event, answer_by_event, context.Event(), context.Event())


def condition(seconds, _):
    return halves(
        seconds, ask_by_condition, answer_by_condition, context.Condition(), context.Array("q", 1, lock=False)
    )


def barrier(seconds, _):
    return halves(seconds, pass_twice, pass_twice, context.Barrier(2))


METRICS = {
    "wake.semaphore": ("ns", semaphore),
    "wake.event": ("ns", event),
    "wake.condition": ("ns", condition),
    "wake.barrier": ("ns", barrier),
}
METRICS |= {name + ".pinned": metric for name, metric in METRICS.items()}
