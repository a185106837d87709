"""The versioning lab: one model in three versions, asked by number and by label, and a configuration that is edited.

The server is started as the lab starts it. Each version answers differently, so every answer tells which one gave it.
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc
import numpy as np
from numpy.typing import NDArray
from tensorflow_serving.apis import get_model_metadata_pb2

from .clients import Grpc, Rest, predict_request
from .server import ModelServer
from .tensors import make_tensor, read_field

MODEL = "animals"
LABELS = {"deprecated": 1, "stable": 2, "canary": 3}
CHANGE_SECONDS = 30.0
# Answers come in decimal digits over REST.
TOLERANCE = 1e-5
NUM_CONNECTIONS = 4

Answer = NDArray[np.float32]


@dataclass(frozen=True)
class Lab:
    """What is served and asked."""

    # The lab's configuration, its base path replaced.
    config: str
    # The body of the lab's request.
    body: bytes
    # The same input for gRPC, and its alias.
    alias: str
    instances: Answer
    # What each version has to answer.
    expected: dict[int, Answer]
    # Time between two looks at the configuration; the lab's is 60.
    poll_seconds: int = 1


@dataclass
class Story:
    """What was done and seen."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def check(self, is_right: bool, what: str) -> None:
        """Notes a line, and a problem if it is not right."""
        self.lines.append(f"{'right' if is_right else 'WRONG'}  {what}")
        if not is_right:
            self.problems.append(what)


def with_base_path(config: str, base_path: Path) -> str:
    """Returns a configuration whose only model lies elsewhere."""
    text, count = re.subn(r"base_path:\s*(['\"]).*?\1", f"base_path: '{base_path}/'", config)
    assert count == 1, f"{count} base paths in the configuration"
    return text


def with_labels(config: str, **labels: int) -> str:
    """Returns a configuration with other labels."""
    text = re.sub(r"version_labels\s*\{[^}]*\}\s*", "", config)
    entries = "".join(f"\n    version_labels {{ key: '{label}' value: {number} }}" for label, number in labels.items())
    head, brace, tail = text.rpartition("model_version_policy")
    return f"{head.rstrip()}{entries}\n    {brace}{tail}"


def with_versions(config: str, *versions: int) -> str:
    """Returns a configuration that asks for these versions."""
    wanted = " ".join(f"versions: {version}" for version in versions)
    return re.sub(r"specific\s*\{[^}]*\}", f"specific {{ {wanted} }}", config)


class Asking:
    """Asks for a label without a pause and notes which version answered, or what went wrong."""

    def __init__(self, server: ModelServer, lab: Lab, label: str) -> None:
        self.server, self.lab, self.label = server, lab, label
        self.versions: set[int] = set()
        self.failures: list[str] = []
        self.num_requests = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(NUM_CONNECTIONS)]

    def _run(self) -> None:
        with Rest(self.server.rest) as client:
            while not self._stop.is_set():
                try:
                    self.versions.add(version_of(self.lab, ask_rest(client, self.lab, f"/labels/{self.label}")))
                except Exception as problem:  # Whatever it is, it is a failed request.
                    self.failures.append(f"{type(problem).__name__}: {problem}")
                    client.close()
                self.num_requests += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def ask_rest(client: Rest, lab: Lab, which: str) -> Answer:
    """Posts the lab's request, as its `curl -d @dog_example.json` does."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.request("POST", f"/v1/models/{MODEL}{which}:predict", lab.body, headers)
    if answer.status != 200:
        raise ValueError(f"{answer.status}: {answer.body[:300]!r}")
    return np.array(answer.json["predictions"], np.float32)


def ask_grpc(client: Grpc, lab: Lab, version: int | None, label: str | None) -> tuple[Answer, int]:
    """Asks over gRPC; returns the answer and the version that gave it by its own account."""
    request = predict_request(MODEL, **{lab.alias: make_tensor(lab.instances)})
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    answer = client.prediction.Predict(request, timeout=30)
    (output,) = answer.outputs.values()
    return read_field(output), answer.model_spec.version.value


def version_of(lab: Lab, answer: Answer) -> int:
    """Returns which version an answer is of."""
    for version, expected in lab.expected.items():
        if answer.shape == expected.shape and np.allclose(answer, expected, atol=TOLERANCE):
            return version
    raise ValueError(f"no version answers {answer}")


def wait_until(is_so: Callable[[], bool]) -> bool:
    """Waits until something is so."""
    deadline = time.perf_counter() + CHANGE_SECONDS
    while not is_so():
        if time.perf_counter() > deadline:
            return False
        time.sleep(0.05)
    return True


def play(lab: Lab, folder: Path) -> Story:
    """Plays the lab; `folder` holds the configuration."""
    story = Story()
    file = folder / "models.config"
    file.write_text(lab.config)
    arguments = [
        # What the image's entry point adds by itself; the list of models wins.
        "--model_name=model",
        "--model_base_path=/models/model",
        f"--model_config_file={file}",
        f"--model_config_file_poll_wait_seconds={lab.poll_seconds}",
    ]
    with ModelServer(*arguments) as server, Rest(server.rest) as rest, Grpc(server.grpc) as client:
        look(story, rest, client)
        ask_everything(story, lab, rest, client, LABELS)
        edit(story, lab, file, server, rest, client)
    return story


def look(story: Story, rest: Rest, client: Grpc) -> None:
    """Checks status and metadata."""
    states = {version: entry["state"] for version, entry in rest.states(MODEL).items()}
    story.check(states == {3: "AVAILABLE", 2: "AVAILABLE", 1: "AVAILABLE"}, f"status over REST: {states}")
    numbers = list(client.states(MODEL))
    story.check(numbers == [3, 2, 1], f"status over gRPC, highest version first: {numbers}")
    one = rest.get(f"/v1/models/{MODEL}/versions/2").json["model_version_status"]
    story.check([entry["version"] for entry in one] == ["2"], f"status of version 2 alone: {one}")
    metadata = rest.get(f"/v1/models/{MODEL}/labels/stable/metadata").json
    story.check(metadata.get("model_spec", {}).get("version") == "2", f"metadata of stable: {metadata['model_spec']}")
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name, request.model_spec.version_label = MODEL, "canary"
    spec = client.prediction.GetModelMetadata(request, timeout=30).model_spec
    story.check(spec.version.value == 3, f"metadata of canary over gRPC: version {spec.version.value}")


def ask_everything(story: Story, lab: Lab, rest: Rest, client: Grpc, labels: dict[str, int]) -> None:
    """Asks by number, by label and for the latest, over both APIs."""
    versions = sorted(lab.expected)
    ways = [(f"version {version}", f"/versions/{version}", version, None, version) for version in versions]
    ways += [(f"label {label}", f"/labels/{label}", None, label, version) for label, version in labels.items()]
    ways += [("the latest", "", None, None, versions[-1])]
    for name, path, version, label, expected in ways:
        over_rest = version_of(lab, ask_rest(rest, lab, path))
        answer, told = ask_grpc(client, lab, version, label)
        over_grpc = version_of(lab, answer)
        is_right = over_rest == over_grpc == told == expected
        story.check(is_right, f"{name}: REST answered by {over_rest}, gRPC by {over_grpc} (it says {told})")


def edit(story: Story, lab: Lab, file: Path, server: ModelServer, rest: Rest, client: Grpc) -> None:
    """Promotes, rolls back, retires a version, and makes a mistake, while clients ask for `stable`."""
    with Asking(server, lab, "stable") as asking:
        for title, text, stable in (
            ("promoted: stable is 3", with_labels(lab.config, stable=3, deprecated=1), 3),
            ("rolled back: stable is 2", with_labels(lab.config, stable=2, canary=3), 2),
        ):
            file.write_text(text)
            is_seen = wait_until(lambda stable=stable: version_of(lab, ask_rest(rest, lab, "/labels/stable")) == stable)
            story.check(is_seen, title)
        told = rest.request("POST", f"/v1/models/{MODEL}/labels/deprecated:predict", lab.body)
        wanted = "Unrecognized servable version label: deprecated"
        story.check((told.status, told.json.get("error")) == (400, wanted), f"a label that is gone: {told.body!r}")

        file.write_text(with_versions(with_labels(lab.config, stable=2, canary=3), 2, 3))
        is_gone = wait_until(lambda: rest.states(MODEL)[1]["state"] == "END")
        story.check(is_gone, f"version 1 retired: {rest.states(MODEL).get(1)}")
        told = rest.request("POST", f"/v1/models/{MODEL}/versions/1:predict", lab.body)
        wanted = f"Servable not found for request: Specific({MODEL}, 1)"
        story.check((told.status, told.json.get("error")) == (404, wanted), f"a version that is gone: {told.body!r}")

        num_lines = len(server.log)
        file.write_text(with_labels(lab.config, stable=9))
        is_told = wait_until(lambda: any(line.get("version") == 9 for line in server.log[num_lines:]))
        answered = version_of(lab, ask_rest(rest, lab, "/labels/stable"))
        told = next((line for line in server.log[num_lines:] if line.get("version") == 9), None)
        story.check(is_told and answered == 2, f"a label for no version: stable is still {answered}; the log: {told}")

        # A label may only be given to a version that is there, so this takes two steps.
        file.write_text(with_labels(lab.config, stable=2, canary=3))
        is_back = wait_until(lambda: rest.states(MODEL)[1]["state"] == "AVAILABLE")
        story.check(is_back, "version 1 is back")
        file.write_text(lab.config)
        path = f"/v1/models/{MODEL}/labels/deprecated:predict"
        is_back = wait_until(lambda: rest.request("POST", path, lab.body).status == 200)
        story.check(is_back, "the lab's own configuration again")
    ask_everything(story, lab, rest, client, LABELS)
    failures = asking.failures[:3]
    story.check(
        not asking.failures and asking.versions == {2, 3},
        f"{asking.num_requests} requests for `stable` meanwhile, answered by {sorted(asking.versions)}, "
        f"{len(asking.failures)} failed {failures or ''}".rstrip(),
    )
    try:
        ask_grpc(client, lab, None, "nobody")
        story.check(False, "an unknown label over gRPC was answered")
    except grpc.RpcError as error:
        told = (error.code(), error.details())
        wanted = (grpc.StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: nobody")
        story.check(told == wanted, f"an unknown label over gRPC: {told}")
