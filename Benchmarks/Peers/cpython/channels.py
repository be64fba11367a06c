# SPDX-License-Identifier: Apache-2.0
"""Messages between processes: there and back, and one after another."""
import multiprocessing

import sampling

context = multiprocessing.get_context("forkserver")


def echo(connection):
    while True:
        try:
            connection.send_bytes(connection.recv_bytes())
        except EOFError:
            return


def round_trip(size, batch):
    def measure(seconds, _):
        here, there = context.Pipe()
        child = context.Process(target=echo, args=(there,), daemon=True)
        child.start()
        there.close()
        message = b"\7" * size

        def operations():
            for _ in range(batch):
                here.send_bytes(message)
                here.recv_bytes()

        samples = [sample / batch for sample in sampling.times(seconds, operations)]
        here.close()
        child.join()
        return samples

    return measure


def put(queue, line, element, count):
    while True:
        line.wait()
        for _ in range(count):
            queue.put(element)
        line.wait()


def take(queue, line, count):
    while True:
        line.wait()
        for _ in range(count):
            queue.get()
        line.wait()


def rate(element, count, producers):
    def measure(seconds, _):
        queue = context.Queue()
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
    "pipe.roundtrip.8": ("ns", round_trip(8, 100)),
    "pipe.roundtrip.8.pinned": ("ns", round_trip(8, 100)),
    "pipe.roundtrip.65536": ("ns", round_trip(65536, 10)),
    "pipe.roundtrip.1048576": ("ns", round_trip(1048576, 1)),
    "queue.rate.8": ("1/s", rate(12345678, 20000, 1)),
    "queue.rate.1024": ("1/s", rate(bytes(1024), 20000, 1)),
    "queue.rate.65536": ("1/s", rate(bytes(65536), 1000, 1)),
    "queue.rate.2p2c.8": ("1/s", rate(12345678, 20000, 2)),
}
