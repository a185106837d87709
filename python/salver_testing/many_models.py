"""One configuration with many models, two of them broken, and changes of it while clients ask.

The models under load are `half_plus` models, whose answers tell the version that gave them.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from .clients import Grpc, Rest
from .load import Load, Report
from .models import half_plus, place
from .server import ModelServer

CORRUPT, MISSING = "corrupt", "missing"
# Models that every configuration lists and clients ask without a pause: one that no change touches, one whose versions
# change, one whose folder changes.
STEADY, VERSIONED, MOVED = "steady", "versioned", "moved"
LOADED = (STEADY, VERSIONED, MOVED)
CHANGE_SECONDS = 60.0
CONNECTIONS_OF_EACH_KIND = 2


@dataclass(frozen=True)
class Options:
    """How many models, and how many changes."""

    num_models: int = 50
    num_changes: int = 10
    # Time between two looks at the configuration.
    poll_seconds: int = 1
    # Writes a model for the n-th folder, if not every model is to be a small ONNX file.
    place_model: Callable[[Path, int], object] | None = None


@dataclass
class Outcome:
    """What was seen."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    reports: dict[str, Report] = field(default_factory=dict)

    def check(self, is_right: bool, what: str) -> None:
        """Notes a line, and a problem if it is not right."""
        self.lines.append(f"{'right' if is_right else 'WRONG'}  {what}")
        if not is_right:
            self.problems.append(what)


@dataclass
class Models:
    """The folders of all models, those of later configurations among them."""

    root: Path
    options: Options

    def make(self) -> None:
        """Writes every folder that any configuration lists, but for the missing one."""
        for name in LOADED:
            place(self.root, name, "1", half_plus(1))
        place(self.root, VERSIONED, "2", half_plus(2))
        place(self.root / "elsewhere", MOVED, "2", half_plus(2))
        place(self.root, CORRUPT, "1", b"this is no model" * 1000)
        for number in range(self.num_plain + self.num_changes_each * self.options.num_changes):
            if self.options.place_model:
                self.options.place_model(self.root / f"plain-{number}", number)
            else:
                place(self.root, f"plain-{number}", "1", half_plus(1))

    @property
    def num_plain(self) -> int:
        """How many models beside those with a name of their own."""
        return self.options.num_models - len(LOADED) - 2

    @property
    def num_changes_each(self) -> int:
        """How many models a change replaces: a tenth."""
        return max(1, self.options.num_models // 10)

    def plain(self, change: int) -> list[str]:
        """Returns the plain models of the configuration after so many changes."""
        start = change * self.num_changes_each
        return [f"plain-{number}" for number in range(start, start + self.num_plain)]

    def config(self, change: int) -> model_server_config_pb2.ModelServerConfig:
        """Returns the configuration after so many changes."""
        config = model_server_config_pb2.ModelServerConfig()

        def add(name: str, base_path: Path) -> model_server_config_pb2.ModelConfig:
            added = config.model_config_list.config.add(name=name, model_platform="tensorflow")
            added.base_path = str(base_path)
            return added

        for name in (STEADY, CORRUPT, MISSING, *self.plain(change)):
            add(name, self.root / name)
        policy = add(VERSIONED, self.root / VERSIONED).model_version_policy
        match change % 3:
            case 0:
                policy.latest.num_versions = 1
            case 1:
                policy.specific.versions.append(1)
            case _:
                policy.all.SetInParent()
        add(MOVED, self.root / MOVED if change % 2 == 0 else self.root / "elsewhere" / MOVED)
        return config


def play(folder: Path, options: Options) -> Outcome:
    """Plays the scenario in an empty folder."""
    outcome, models = Outcome(), Models(folder / "models", options)
    models.make()
    file = folder / "models.config"
    file.write_text(text_format.MessageToString(models.config(0)))
    flags = [f"--model_config_file={file}", f"--model_config_file_poll_wait_seconds={options.poll_seconds}"]
    with ModelServer(*flags) as server, Rest(server.rest) as rest:
        num_good = options.num_models - 2
        num_serving = len(serving(rest, [*LOADED, *models.plain(0)]))
        what = f"{num_serving} of {num_good} good models serve when the ports open, after {server.ready_seconds:.1f} s"
        outcome.check(num_serving == num_good, what)
        reported(outcome, server, rest)
        change_under_load(outcome, models, file, server, rest)
        reported(outcome, server, rest)
    return outcome


def serving(rest: Rest, names: list[str]) -> list[str]:
    """Returns which of these models have an available version."""
    return [name for name in names if any(entry["state"] == "AVAILABLE" for entry in rest.states(name).values())]


def reported(outcome: Outcome, server: ModelServer, rest: Rest) -> None:
    """Checks that status, log and metrics tell of the two broken models."""
    metrics = rest.get("/metrics").body.decode()
    for name in (CORRUPT, MISSING):
        status = rest.get(f"/v1/models/{name}").body.decode()
        outcome.check("error" in status and '"OK"' not in status, f"status of {name}: {' '.join(status.split())}")
        lines = [line for line in server.log if line.get("level") in ("WARN", "ERROR") and name in str(line)]
        outcome.check(bool(lines), f"log of {name}: {len(lines)} line(s), {lines[:1]}")
        found = [line for line in metrics.splitlines() if f'"{name}"' in line]
        outcome.check(bool(found), f"metrics of {name}: {found}")


def change_under_load(outcome: Outcome, models: Models, file: Path, server: ModelServer, rest: Rest) -> None:
    """Replaces the configuration again and again, by file and by gRPC in turn."""
    counts = {"num_rest": CONNECTIONS_OF_EACH_KIND, "num_grpc": CONNECTIONS_OF_EACH_KIND}
    loads = {name: Load(server, name, is_expected={1, 2}.__contains__, **counts) for name in LOADED}
    with ExitStack() as stack, Grpc(server.grpc) as client:
        for load in loads.values():
            stack.enter_context(load)
        for change in range(1, models.options.num_changes + 1):
            config, began = models.config(change), time.perf_counter()
            # The file is always the newer of the two, so that a look at it takes nothing back.
            file.write_text(text_format.MessageToString(config))
            if change % 2 == 0:
                request = model_management_pb2.ReloadConfigRequest(config=config)
                told = client.models.HandleReloadConfigRequest(request, timeout=CHANGE_SECONDS).status
                outcome.check(told.error_code == 0, f"change {change} by gRPC: {told.error_message or 'OK'}")
            is_done = wait_for(rest, models, change)
            seconds = time.perf_counter() - began
            outcome.check(is_done, f"change {change} is in effect after {seconds:.1f} s")
    for name, load in loads.items():
        outcome.reports[name] = load.report
        failures = load.report.failures[:3]
        outcome.check(load.report.num_failures == 0, f"load on {name}: {load.report} {failures or ''}".rstrip())
    seen = set(outcome.reports[VERSIONED].answers), set(outcome.reports[MOVED].answers)
    outcome.check(seen == ({1, 2}, {1, 2}), f"versions that answered as {VERSIONED} and {MOVED}: {seen}")


def wait_for(rest: Rest, models: Models, change: int) -> bool:
    """Waits until what a change brings is served and what it drops is not."""
    deadline = time.perf_counter() + CHANGE_SECONDS
    brought = set(models.plain(change)) - set(models.plain(change - 1))
    dropped = set(models.plain(change - 1)) - set(models.plain(change))
    while time.perf_counter() < deadline:
        if len(serving(rest, sorted(brought))) == len(brought) and not serving(rest, sorted(dropped)):
            return True
        time.sleep(0.05)
    return False
