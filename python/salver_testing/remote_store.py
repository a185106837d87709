"""A version is uploaded to a store file by file, and the store goes away for a while, both under load."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from .clients import Rest
from .load import Load, Moment, Report, Watcher
from .models import heavy_half_plus
from .server import Server, binary, engine_arguments
from .stores import KEY, S3, SECRET, Gcs

MODEL = "remote"
BASE = "models/remote"
WEIGHTS = "weights.bin"
PUBLISH_SECONDS = 60.0


@dataclass(frozen=True)
class Options:
    """How long things take."""

    poll_seconds: float = 2.0
    # Between two files of a version: several looks at the store.
    pause_seconds: float = 10.0
    away_seconds: float = 60.0
    weight_bytes: int = 16 * 1024 * 1024


@dataclass
class Outcome:
    """What was seen."""

    store: str
    report: Report = field(default_factory=Report)
    story: list[Moment] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Returns the whole story."""
        lines = [f"{self.store}: {self.report}", *map(str, self.story), *self.notes, *self.problems]
        return "\n".join(lines)


def files_of(version: int, weight_bytes: int) -> dict[str, bytes]:
    """Returns y = x / 2 + version as a model file, a file of its weights beside it, and an asset."""
    model = onnx.load_model_from_string(heavy_half_plus(version, weight_bytes))
    (weights,) = (tensor for tensor in model.graph.initializer if tensor.name == "weights")
    content = weights.raw_data
    onnx.external_data_helper.set_external_data(weights, WEIGHTS, offset=0, length=len(content))
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    labels = json.dumps({"version": version}).encode()
    return {"model.onnx": model.SerializeToString(), "assets/labels.json": labels, WEIGHTS: content}


def upload(store: S3 | Gcs, version: int, files: dict[str, bytes], pause_seconds: float = 0.0) -> float:
    """Uploads a version file by file; returns when the last file was begun."""
    begun = 0.0
    for idx, (name, content) in enumerate(files.items()):
        if idx:
            time.sleep(pause_seconds)
        begun = time.perf_counter()
        store.put(f"{BASE}/{version}/{name}", content)
    return begun


def run(store: S3 | Gcs, cache: Path, options: Options) -> Outcome:
    """Plays the scenario with an empty bucket and an empty cache."""
    outcome = Outcome(store.scheme)
    versions = {version: files_of(version, options.weight_bytes) for version in (1, 2, 3)}
    upload(store, 1, versions[1])
    arguments = [
        f"--model_base_path={store.uri(BASE)}",
        f"--model_name={MODEL}",
        f"--file_system_poll_wait_seconds={options.poll_seconds}",
    ]
    prefix = store.prefix(SALVER_CACHE_DIR=str(cache))
    with RemoteServer(*arguments, prefix=prefix) as server, Watcher(server, MODEL) as watcher:
        with Load(server, MODEL, num_rest=2, num_grpc=2, is_expected={1, 2, 3}.__contains__) as load:
            bring_file_by_file(store, versions[2], watcher, options, outcome)
            go_away(store, versions[3], watcher, options, outcome)
        outcome.report, outcome.story = load.report, watcher.story
        log = server.log_text(last=10_000)
    outcome.problems += load.report.failures[:3]
    outcome.problems += [
        f"version {version} never answered" for version in (1, 2, 3) if not load.report.answers[version]
    ]
    if KEY in log or SECRET in log:
        outcome.problems.append("the log shows a credential")
    for words in ("cannot be read now", "can be read again"):
        count = log.count(words)
        if count != 1:
            outcome.problems.append(f"the log says {count} times that the store {words}")
    restart(store, arguments, prefix, outcome)
    return outcome


class RemoteServer(Server):
    """A server whose models are all given by its flags."""

    def __init__(self, *arguments: str, prefix: list[str]) -> None:
        addresses = ["--host=127.0.0.1", "--port=auto", "--rest_api_port=auto"]
        self._start([*prefix, str(binary()), "serve", *addresses, *engine_arguments(), *arguments])


def bring_file_by_file(
    store: S3 | Gcs, files: dict[str, bytes], watcher: Watcher, options: Options, outcome: Outcome
) -> None:
    """Uploads version 2 with pauses: it is served once its last file is there, and never before."""
    begun = upload(store, 2, files, options.pause_seconds)
    last_begun = watcher.seconds() - (time.perf_counter() - begun)
    if any(2 in moment.states and moment.seconds < last_begun for moment in watcher.story):
        outcome.problems.append(f"half of version 2 was noticed: {watcher.story[-1]}")
    if not watcher.wait_for(2, "AVAILABLE", PUBLISH_SECONDS):
        outcome.problems.append("version 2 was not served")
    outcome.notes.append(f"version 2 was served {time.perf_counter() - begun:.1f} s after its last file")


def go_away(store: S3 | Gcs, files: dict[str, bytes], watcher: Watcher, options: Options, outcome: Outcome) -> None:
    """Shuts the store for a while; what is uploaded meanwhile is served once it is back."""
    store.gate.shut()
    upload(store, 3, files)
    time.sleep(options.away_seconds)
    # Version 1 may still have been on its way out when the store went away.
    states = watcher.story[-1].states
    if [version for version, state in states.items() if state == "AVAILABLE"] != [2]:
        outcome.problems.append(f"the store was away, and then the versions were {states}")
    store.gate.reopen()
    back = time.perf_counter()
    if not watcher.wait_for(3, "AVAILABLE", PUBLISH_SECONDS + options.away_seconds):
        outcome.problems.append("version 3 was not served")
    outcome.notes.append(f"version 3 was served {time.perf_counter() - back:.1f} s after the store was back")


def restart(store: S3 | Gcs, arguments: list[str], prefix: list[str], outcome: Outcome) -> None:
    """Starts a server anew while the store is away: it serves what is in the cache."""
    store.gate.shut()
    with RemoteServer(*arguments, prefix=prefix) as server, Rest(server.rest) as client:
        states = {version: entry["state"] for version, entry in client.states(MODEL).items()}
        outcome.notes.append(f"without the store a new server is ready after {server.ready_seconds:.1f} s: {states}")
        if states != {3: "AVAILABLE"}:
            outcome.problems.append(f"without the store a new server serves {states}")
    store.gate.reopen()
