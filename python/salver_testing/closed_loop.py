"""Closed-loop load over gRPC: each client asks again as soon as it was answered."""

import asyncio
import time

import grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tensorflow_serving.apis.predict_pb2 import PredictRequest


class GrpcClient:
    """Asks the same of a server again and again, over one channel."""

    def __init__(self, address: str, request: PredictRequest) -> None:
        self.channel = grpc.aio.insecure_channel(address)
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.request = request

    async def ask(self) -> str:
        """Asks once; returns nothing, `refused`, or what went wrong."""
        try:
            await self.stub.Predict(self.request)
        except grpc.aio.AioRpcError as error:
            is_refused = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
            return "refused" if is_refused else f"{error.code().name}: {error.details()}"
        return ""

    async def close(self) -> None:
        """Closes the channel."""
        await self.channel.close()


def millis(latencies: list[float], share: float) -> float:
    """Returns a percentile."""
    return 1000 * sorted(latencies)[min(len(latencies) - 1, int(share * len(latencies)))]


async def capacity(client: GrpcClient, num_clients: int, seconds: float) -> float:
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
