"""What teams write by hand: a FastAPI application around an ONNX Runtime session, started by uvicorn.

The environment says which model it is (`MODEL`), and in how many threads it runs (`THREADS`; 0 is the default).
"""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ["THREADS"])
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Body(BaseModel):
    """The rows, as TensorFlow Serving takes them."""

    instances: list


def run(body: Body) -> dict[str, list]:
    """Answers one request."""
    (y,) = session.run(None, {"x": np.asarray(body.instances, np.float32)})
    return {"predictions": y.tolist()}


@app.get("/ready")
def ready() -> str:
    """Says that the application is up."""
    return "ready"


@app.post("/sync")
def predict_sync(body: Body) -> dict[str, list]:
    """Runs in a thread of the pool, as FastAPI's tutorials have it."""
    return run(body)


@app.post("/async")
async def predict_async(body: Body) -> dict[str, list]:
    """Runs in the event loop."""
    return run(body)
