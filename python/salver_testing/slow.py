"""Runs of the `slow` model that take long on the machine at hand, however fast that is."""

import time

from salver_testing.clients import Grpc
from salver_testing.tensors import make_tensor

# The first size that is tried, and by how much the next is larger: twice the work.
FIRST_SIZE = 1000
GROWTH = 2 ** (1 / 3)
# A run of so many seconds says how long larger ones take.
MEASURED_SECONDS = 0.3


def size_that_takes(client: Grpc, seconds: float) -> list[int]:
    """Returns a size of which a run takes about twice so long, measured by runs of smaller ones."""
    size = FIRST_SIZE
    while (elapsed := _elapsed(client, size)) < MEASURED_SECONDS:
        size = int(size * GROWTH) + 1
    # The work grows with the third power.
    size = int(size * max(1.0, 2 * seconds / elapsed) ** (1 / 3))
    return [size, size]


def _elapsed(client: Grpc, size: int) -> float:
    begin = time.monotonic()
    client.predict("slow", x=make_tensor([1.0]), size=make_tensor([size, size], "int32"))
    return time.monotonic() - begin
