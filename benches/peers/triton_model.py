"""A model of Triton's Python backend that runs the ONNX file beside it: the one engine that the wheel allows."""

import json
from pathlib import Path

import onnxruntime
import triton_python_backend_utils as utils


class TritonPythonModel:
    """One instance of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the file."""
        folder = Path(args["model_repository"]) / args["model_version"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(json.loads(args["model_config"])["parameters"]["threads"]["string_value"])
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.output = self.session.get_outputs()[0].name

    def execute(self, requests: list) -> list:
        """Runs each request."""
        return [self._run(request) for request in requests]

    def _run(self, request: object) -> object:
        inputs = {"x": utils.get_input_tensor_by_name(request, "x").as_numpy()}
        (y,) = self.session.run(None, inputs)
        return utils.InferenceResponse([utils.Tensor("y", y)])
