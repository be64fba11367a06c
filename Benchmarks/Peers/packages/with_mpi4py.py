# SPDX-License-Identifier: Apache-2.0
"""Bytes there and back by MPI, between two ranks that `mpirun` has started."""
import sampling
from mpi4py import MPI

OVER = 1


def round_trip(size, batch):
    def measure(seconds):
        world = MPI.COMM_WORLD
        buffer = bytearray(size)
        if world.rank == 1:
            status = MPI.Status()
            while True:
                world.Recv(buffer, source=0, tag=MPI.ANY_TAG, status=status)
                if status.tag == OVER:
                    return None
                world.Send(buffer, dest=0)

        def operation():
            world.Send(buffer, dest=1)
            world.Recv(buffer, source=1)

        samples = sampling.times(seconds, operation, batch=batch)
        world.Send(buffer, dest=1, tag=OVER)
        return samples

    return measure


METRICS = {
    "pipe.roundtrip.8": ("ns", round_trip(8, 100)),
    "pipe.roundtrip.65536": ("ns", round_trip(65536, 10)),
    "pipe.roundtrip.1048576": ("ns", round_trip(1048576, 1)),
}
