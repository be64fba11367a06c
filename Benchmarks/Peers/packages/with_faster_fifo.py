# SPDX-License-Identifier: Apache-2.0
"""Elements through faster-fifo's queue, one put and one get each, as the others do it."""
import multiprocessing

import faster_fifo
import sampling

context = multiprocessing.get_context("fork")


def put(queue, line, element, count):
    while True:
        line.wait()
        for _ in range(count):
            queue.put(element, timeout=60)
        line.wait()


def take(queue, line, count):
    while True:
        line.wait()
        for _ in range(count):
            queue.get(timeout=60)
        line.wait()


def rate(element, count, producers):
    def measure(seconds):
        queue = faster_fifo.Queue(max_size_bytes=64 << 20)
        line = context.Barrier(2 * producers + 1)
        share = count // producers
        children = [
            context.Process(target=put, args=(queue, line, element, share), daemon=True) for _ in range(producers)
        ] + [context.Process(target=take, args=(queue, line, share), daemon=True) for _ in range(producers)]
        for child in children:
            child.start()

        def operation():
            line.wait()
            line.wait()

        samples = sampling.times(seconds, operation)
        for child in children:
            child.kill()
        for child in children:
            child.join()
        return [count / sample * 1e9 for sample in samples]

    return measure


METRICS = {
    "queue.rate.8": ("1/s", rate(12345678, 20000, 1)),
    "queue.rate.1024": ("1/s", rate(bytes(1024), 20000, 1)),
    "queue.rate.65536": ("1/s", rate(bytes(65536), 1000, 1)),
    "queue.rate.2p2c.8": ("1/s", rate(12345678, 20000, 2)),
}
