"""Open-loop load: requests come when they come, however long the answers take, as they do from many clients."""

import asyncio
import math
import random
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tensorflow_serving.apis.predict_pb2 import PredictRequest

# Requests that may be under way at once; one more is dropped and counted, as the client is what is overloaded then.
MAX_UNDER_WAY = 4000


@dataclass
class Phase:
    """What came of a load at one rate."""

    rate: float
    seconds: float
    num_sent: int = 0
    num_refused: int = 0
    num_dropped: int = 0
    failures: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    refusal_latencies: list[float] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def __str__(self) -> str:
        """Returns one line for people."""
        return (
            f"{self.rate:7.1f} requests/s for {self.seconds:.0f} s: {self.goodput:6.1f} answers/s, "
            f"p50 {millis(self.latencies, 0.5):.0f} ms, p99 {millis(self.latencies, 0.99):.0f} ms; "
            f"{self.num_refused} refused (p99 {millis(self.refusal_latencies, 0.99):.0f} ms), "
            f"{len(self.failures)} failed, {self.num_dropped} not sent"
        )


def millis(latencies: list[float], share: float) -> float:
    """Returns a percentile."""
    if not latencies:
        return math.nan
    return 1000 * sorted(latencies)[min(len(latencies) - 1, int(share * len(latencies)))]


class Client(ABC):
    """Asks the same of a server again and again."""

    @abstractmethod
    async def ask(self) -> str:
        """Asks once; returns nothing, `refused`, or what went wrong."""

    @abstractmethod
    async def close(self) -> None:
        """Closes all connections."""


class RestClient(Client):
    """HTTP/1.1 over kept connections, as many as are needed at once."""

    def __init__(self, address: str, model: str, body: bytes) -> None:
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        head = f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.request = head.encode() + body
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self) -> str:
        """Asks once."""
        connection = self.idle.pop() if self.idle else await asyncio.open_connection(self.host, self.port)
        reader, writer = connection
        writer.write(self.request)
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        body = await reader.readexactly(int(fields[b"content-length"]))
        self.idle.append(connection)
        status = int(head.split(b" ", 2)[1])
        if status == 200:
            return ""
        return "refused" if status in (429, 503) else f"{status} {body[:200]!r}"

    async def close(self) -> None:
        """Closes all connections."""
        for _, writer in self.idle:
            writer.close()


class GrpcClient(Client):
    """gRPC over one channel."""

    def __init__(self, address: str, request: PredictRequest) -> None:
        self.channel = grpc.aio.insecure_channel(address)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.request = request

    async def ask(self) -> str:
        """Asks once."""
        try:
            await self.stub.Predict(self.request)
        except grpc.aio.AioRpcError as error:
            is_refused = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
            return "refused" if is_refused else f"{error.code().name}: {error.details()}"
        return ""

    async def close(self) -> None:
        """Closes the channel."""
        await self.channel.close()


async def load(client: Client, rate: float, seconds: float, seed: int = 0) -> Phase:
    """Sends requests at a rate, the time between two exponentially distributed, and waits for all answers."""
    phase = Phase(rate, seconds)
    generator = random.Random(seed)
    under_way: set[asyncio.Task[None]] = set()

    async def ask() -> None:
        started = time.perf_counter()
        try:
            outcome = await client.ask()
        except (OSError, EOFError) as error:
            outcome = f"{type(error).__name__}: {error}"
        elapsed = time.perf_counter() - started
        match outcome:
            case "":
                phase.latencies.append(elapsed)
            case "refused":
                phase.num_refused += 1
                phase.refusal_latencies.append(elapsed)
            case _:
                phase.failures.append(outcome)

    due = time.perf_counter()
    end = due + seconds
    while (due := due + generator.expovariate(rate)) < end:
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        if len(under_way) >= MAX_UNDER_WAY:
            phase.num_dropped += 1
            continue
        phase.num_sent += 1
        task = asyncio.create_task(ask())
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    return phase


async def capacity(client: Client, num_clients: int, seconds: float) -> float:
    """Returns how many requests per second so many clients get answered that each wait for their answer."""
    num_answers = 0
    end = time.perf_counter() + seconds

    async def ask_on() -> None:
        nonlocal num_answers
        while time.perf_counter() < end:
            outcome = await client.ask()
            num_answers += outcome == ""

    await asyncio.gather(*(ask_on() for _ in range(num_clients)))
    return num_answers / seconds
