# SPDX-License-Identifier: Apache-2.0
"""Bytes there and back through iceoryx2's shared memory. Both sides look all the time, as its own benchmarks do; each message is written once and read in place."""
import ctypes
import multiprocessing
import os

import iceoryx2
import sampling

context = multiprocessing.get_context("spawn")


def payload(size):
    class Payload(ctypes.Structure):
        _fields_ = [("data", ctypes.c_uint8 * size)]

        @staticmethod
        def type_name():
            return f"Payload{size}"

    return Payload


def connect(node, name, type_):
    return node.service_builder(iceoryx2.ServiceName.new(name)).publish_subscribe(type_).open_or_create()


def make_node():
    iceoryx2.set_log_level(iceoryx2.LogLevel.Error)
    return iceoryx2.NodeBuilder.new().create(iceoryx2.ServiceType.Ipc)


def say(publisher, message):
    publisher.loan_uninit().write_payload(message).send()


def hear(subscriber):
    while True:
        sample = subscriber.receive()
        if sample is not None:
            return sample


def answer(size, there, back, ready):
    node, type_ = make_node(), payload(size)
    subscriber = connect(node, there, type_).subscriber_builder().create()
    publisher = connect(node, back, type_).publisher_builder().create()
    message = type_()
    ready.set()
    while True:
        sample = hear(subscriber)
        sample.delete()
        say(publisher, message)


def round_trip(size, batch):
    def measure(seconds):
        there, back = f"benchmarks-{os.getpid()}-there", f"benchmarks-{os.getpid()}-back"
        node, type_ = make_node(), payload(size)
        publisher = connect(node, there, type_).publisher_builder().create()
        subscriber = connect(node, back, type_).subscriber_builder().create()
        ready = context.Event()
        child = context.Process(target=answer, args=(size, there, back, ready), daemon=True)
        child.start()
        if not ready.wait(20):
            raise RuntimeError("the other side is not there")
        message = type_()

        def operation():
            say(publisher, message)
            hear(subscriber).delete()

        samples = sampling.times(seconds, operation, batch=batch)
        child.kill()
        child.join()
        return samples

    return measure


METRICS = {
    "pipe.roundtrip.8": ("ns", round_trip(8, 100)),
    "pipe.roundtrip.65536": ("ns", round_trip(65536, 10)),
    "pipe.roundtrip.1048576": ("ns", round_trip(1048576, 1)),
}
