"""Several versions under one name: weights, keys, headers, shadows, and changes while requests come in."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from salver_testing import saved_models
from salver_testing.clients import TIMEOUT_SECONDS, Answer, Grpc, Rest, predict_request
from salver_testing.examples import CLASSIFY, REGRESS, ask_all, classify, example, regress, rows, task
from salver_testing.models import half_plus, linear, place, slow
from salver_testing.server import Server
from salver_testing.tensors import make_tensor, read_field

MODEL = "m"
ALL = 'versions = "all"\n'
ARM = "x-salver-arm"
CHANGE_SECONDS = 30.0

# Of 1,000 fair draws of 70 in 100, fewer than 600 or more than 800 come once in 10 to the power of 10 times.
NUM_REQUESTS = 1000
STABLE_BOUNDS = 600, 800

STABLE = {"name": "stable", "version": 1, "weight": 70}
CANARY = {"name": "canary", "version": 2, "weight": 30}
HEADER = {"name": "user-group", "value": "canary"}
# What each arm answers for 1.0.
ANSWERS = {"stable": 1.5, "canary": 2.5, "next": 3.5}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of a model in three versions, each of which answers differently."""
    root = tmp_path / "models"
    for version in (1, 2, 3):
        place(root, MODEL, str(version), half_plus(version))
    write_settings(root, ALL)
    return root


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    """A server of that folder, whose administrators have a port of their own; it opens when all versions are loaded."""
    with Server(root, "--admin_port=auto", "--file_system_poll_wait_seconds=1") as server:
        yield server


@pytest.fixture
def admin(server: Server) -> Iterator[Rest]:
    """An administrator."""
    with Rest(server.serving["admin"]) as client:
        yield client


@pytest.fixture
def client(server: Server) -> Iterator[Grpc]:
    """A gRPC client."""
    with Grpc(server.grpc) as client:
        yield client


def write_settings(root: Path, settings: str, model: str = MODEL) -> None:
    """Puts a `model.toml` in place in one step: half of one would be other settings."""
    staged = root.parent / "model.toml"
    staged.write_text(settings)
    staged.replace(root / model / "model.toml")


def wait_until(is_so: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + CHANGE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def change(admin: Rest, method: str, body: object = None, model: str = MODEL) -> Answer:
    """Asks for a model's split, or changes it."""
    encoded = None if body is None else json.dumps(body).encode()
    return admin.request(method, f"/admin/models/{model}/split", encoded)


def share_out(admin: Rest, **split: object) -> None:
    """Sets a split."""
    answer = change(admin, "PUT", split)
    assert answer.status == 200, answer.body


def ask(rest: Rest, model: str = MODEL, **headers: str) -> tuple[str | None, float]:
    """Predicts for 1.0 over REST; returns the arm and the answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"instances": [1.0]}).encode()
    answer = rest.request("POST", f"/v1/models/{model}:predict", body, named)
    assert answer.status == 200, answer.body
    return answer.headers.get(ARM), answer.json["predictions"][0]


def ask_grpc(client: Grpc, version: int | None = None, **headers: str) -> tuple[str | None, float, int]:
    """Predicts for 1.0 over gRPC; returns the arm, the answer, and the version that gave it by its own account."""
    request = predict_request(MODEL, x=make_tensor([1.0]))
    if version is not None:
        request.model_spec.version.value = version
    metadata = [(name.replace("_", "-"), value) for name, value in headers.items()]
    answer, call = client.prediction.Predict.with_call(request, timeout=TIMEOUT_SECONDS, metadata=metadata)
    arm = dict(call.initial_metadata()).get(ARM)
    return arm, float(read_field(answer.outputs["y"])[0]), answer.model_spec.version.value


def counted(rest: Rest, name: str, **labels: str) -> int:
    """Returns where a counter stands."""
    series = ",".join(f'{label}="{value}"' for label, value in labels.items())
    line = f"{name}{{{series}}} "
    page = rest.get("/metrics").body.decode().splitlines()
    values = [int(entry.removeprefix(line)) for entry in page if entry.startswith(line)]
    assert len(values) == 1, f"{line}: {values}"
    return values[0]


def shadowed(admin: Rest, result: str) -> int:
    """Returns how many requests to the shadow `next` had this result."""
    return counted(admin, "salver_shadow_requests_total", model=MODEL, shadow="next", result=result)


def test_requests_are_shared_out_by_chance(rest: Rest, admin: Rest) -> None:
    share_out(admin, arms=[STABLE, CANARY])
    answers = Counter(ask(rest) for _ in range(NUM_REQUESTS))
    assert set(answers) == {("stable", 1.5), ("canary", 2.5)}
    num_stable = answers["stable", 1.5]
    assert STABLE_BOUNDS[0] < num_stable < STABLE_BOUNDS[1]
    for arm, num_requests in (("stable", num_stable), ("canary", NUM_REQUESTS - num_stable)):
        assert counted(admin, "salver_arm_requests_total", model=MODEL, arm=arm, code="OK") == num_requests
        assert counted(admin, "salver_arm_request_duration_seconds_count", model=MODEL, arm=arm) == num_requests
        assert counted(admin, "salver_arm_fallbacks_total", model=MODEL, arm=arm) == 0


def test_a_key_has_one_arm_on_every_api_and_server(rest: Rest, client: Grpc, admin: Rest, root: Path) -> None:
    split = {"key": "user-id", "arms": [STABLE, CANARY]}
    share_out(admin, **split)
    users = [f"user-{number}" for number in range(200)]
    arms = {user: ask(rest, user_id=user)[0] for user in users}
    assert set(arms.values()) == {"stable", "canary"}
    for user in users[:50]:
        arm, answer, version = ask_grpc(client, user_id=user)
        assert (arm, answer) == (arms[user], ANSWERS[str(arm)])
        assert version == {"stable": 1, "canary": 2}[str(arm)]
        assert ask(rest, user_id=user) == (arm, answer)
    with Server(root, "--admin_port=auto") as other, Rest(other.rest) as elsewhere:
        share_out(Rest(other.serving["admin"]), **split)
        assert {user: ask(elsewhere, user_id=user)[0] for user in users} == arms

    # More for the canary takes users from stable and sends none back.
    share_out(admin, key="user-id", arms=[STABLE, CANARY | {"weight": 70}])
    moved = {(arms[user], ask(rest, user_id=user)[0]) for user in users}
    assert ("stable", "canary") in moved and ("canary", "stable") not in moved


def test_a_header_has_an_arm_of_its_own(rest: Rest, client: Grpc, admin: Rest) -> None:
    share_out(admin, arms=[STABLE | {"weight": 1}, CANARY | {"weight": 0, "header": HEADER}])
    for _ in range(20):
        assert ask(rest, user_group="canary") == ("canary", 2.5)
        assert ask_grpc(client, user_group="canary") == ("canary", 2.5, 2)
        assert ask(rest) == ask(rest, user_group="staff") == ("stable", 1.5)
        assert ask_grpc(client) == ("stable", 1.5, 1)


def test_who_names_a_version_or_a_label_gets_it(rest: Rest, client: Grpc, admin: Rest, root: Path) -> None:
    write_settings(root, ALL + "labels = { latest = 3 }\n")
    share_out(admin, arms=[STABLE | {"header": HEADER}])
    assert ask(rest, f"{MODEL}/versions/3", user_group="canary") == (None, 3.5)
    assert ask_grpc(client, version=3, user_group="canary") == (None, 3.5, 3)
    path = f"/v1/models/{MODEL}/labels/latest"
    wait_until(lambda: rest.get(f"{path}/metadata").status == 200)
    assert ask(rest, f"{MODEL}/labels/latest") == (None, 3.5)
    assert ask(rest) == ("stable", 1.5)


def test_an_arm_that_is_not_loaded_leaves_its_requests_to_the_others(rest: Rest, client: Grpc, admin: Rest) -> None:
    gone = {"name": "gone", "version": 9, "weight": 1000, "header": HEADER}
    share_out(admin, arms=[gone, STABLE | {"weight": 1}])
    for _ in range(5):
        assert ask(rest, user_group="canary") == ("stable", 1.5)
    assert counted(admin, "salver_arm_fallbacks_total", model=MODEL, arm="gone") == 5
    assert change(admin, "GET").json["available"] == {"gone": False, "stable": True}

    share_out(admin, arms=[gone])
    wanted = f"no arm of {MODEL} that the request may go to has a version in service: gone (version 9)"
    refused = rest.predict(MODEL, {"instances": [1.0]})
    assert (refused.status, refused.json) == (503, {"error": wanted})
    with pytest.raises(grpc.RpcError) as error:
        ask_grpc(client)
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.UNAVAILABLE, wanted)


def test_errors_tell_their_arm_too(rest: Rest, client: Grpc, admin: Rest) -> None:
    share_out(admin, arms=[CANARY])
    refused = rest.predict(MODEL, {"instances": ["x"]})
    assert (refused.status, refused.headers[ARM]) == (400, "canary")
    with pytest.raises(grpc.RpcError) as error:
        client.predict(MODEL, z=make_tensor([1.0]))
    told = [*(error.value.initial_metadata() or ()), *(error.value.trailing_metadata() or ())]
    assert (ARM, "canary") in told
    assert counted(admin, "salver_arm_requests_total", model=MODEL, arm="canary", code="INVALID_ARGUMENT") == 2


def test_a_shadow_is_asked_and_changes_nothing(rest: Rest, client: Grpc, admin: Rest) -> None:
    share_out(admin, arms=[STABLE], shadows=[{"name": "next", "version": 3, "percent": 100}])
    for _ in range(10):
        assert ask(rest) == ("stable", 1.5)
        assert ask_grpc(client) == ("stable", 1.5, 1)
    wait_until(lambda: shadowed(admin, "answered") == 20)
    of_version = {"model": MODEL, "version": "3", "signature": "serving_default"}
    assert counted(admin, "salver_requests_total", **of_version, code="OK") == 0, "nobody waits for its answers"
    assert counted(admin, "salver_request_phase_duration_seconds_count", **of_version, phase="run") == 20
    # Who names a version asks that one alone.
    assert ask(rest, f"{MODEL}/versions/1") == (None, 1.5)
    share_out(admin, shadows=[{"name": "next", "version": 1, "percent": 100}])
    assert ask(rest) == (None, 3.5), "without arms the latest version answers"
    wait_until(lambda: shadowed(admin, "answered") == 21)


def test_a_shadow_that_fails_hurts_nobody(root: Path) -> None:
    place(root, "other", "1", linear())
    shadows = [{"name": "next", "model": "other", "percent": 100}, {"name": "gone", "version": 9, "percent": 100}]
    with Server(root, "--admin_port=auto") as server, Rest(server.rest) as rest:
        admin = Rest(server.serving["admin"])
        share_out(admin, arms=[STABLE | {"version": 3}], shadows=shadows)
        for _ in range(10):
            assert ask(rest) == ("stable", 3.5)
        wait_until(lambda: shadowed(admin, "failed") == 10)
        gone = {"model": MODEL, "shadow": "gone", "result": "unavailable"}
        wait_until(lambda: counted(admin, "salver_shadow_requests_total", **gone) == 10)
        assert not server.lines(level="ERROR")


def test_shadows_that_do_not_keep_up_are_dropped_and_at_the_end_cut(root: Path) -> None:
    place(root, "slow", "1", slow())
    write_settings(root, "instances = 1\nthreads = 1\n", "slow")
    with Server(root, "--admin_port=auto") as server, Rest(server.rest) as rest:
        admin = Rest(server.serving["admin"])
        share_out(admin, arms=[STABLE], shadows=[{"name": "next", "model": "slow", "percent": 100}])
        deadline = time.monotonic() + CHANGE_SECONDS
        while shadowed(admin, "dropped") == 0:
            assert time.monotonic() < deadline
            assert ask(rest) == ("stable", 1.5)
        assert shadowed(admin, "failed") == 0
    assert not server.lines(level="ERROR")


def test_shadows_are_not_logged(root: Path) -> None:
    folder = root.parent / "logs"
    log = f'[request_log]\ntype = "jsonl"\nfilename_prefix = "{folder}/{MODEL}"\nsampling_rate = 1\n'
    split = "split.arms = [{ name = 'stable', version = 1, weight = 1 }]\n"
    split += "split.shadows = [{ name = 'next', version = 3, percent = 100 }]\n"
    write_settings(root, ALL + split + log)
    with Server(root) as server, Rest(server.rest) as rest:
        for _ in range(5):
            assert ask(rest) == ("stable", 1.5)
        wait_until(lambda: shadowed(rest, "answered") == 5)
    (file,) = folder.iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["version"] for line in lines] == [1] * 5


def test_questions_about_rows_are_shared_out_and_shadowed(tmp_path: Path, has_tensorflow: None) -> None:
    root = tmp_path / "models"
    for version in ("1", "2"):
        saved_models.place(root, "rows", version, saved_models.half_plus_two())
    split = "split.arms = [{ name = 'first', version = 1, weight = 1 }]\n"
    split += "split.shadows = [{ name = 'next', version = 2, percent = 100 }]\n"
    write_settings(root, ALL + split, "rows")
    row = example(x=2.0)
    with Server(root, engine="tensorflow") as server, Rest(server.rest) as rest, Grpc(server.grpc) as client:
        tasks = task("rows", "classify_x_to_y", CLASSIFY), task("rows", "regress_x_to_y2", REGRESS)
        stub = client.prediction
        calls = [
            stub.Classify.with_call(classify("rows", "classify_x_to_y", row), timeout=TIMEOUT_SECONDS),
            stub.Regress.with_call(regress("rows", "regress_x_to_y", row), timeout=TIMEOUT_SECONDS),
            stub.MultiInference.with_call(ask_all(*tasks, input_=rows(row)), timeout=TIMEOUT_SECONDS),
        ]
        for _, call in calls:
            assert (ARM, "first") in call.initial_metadata()
        assert calls[0][0].model_spec.version.value == 1
        body = json.dumps({"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]}).encode()
        assert rest.request("POST", "/v1/models/rows:regress", body).headers[ARM] == "first"
        shadow = {"model": "rows", "shadow": "next", "result": "answered"}
        wait_until(lambda: counted(rest, "salver_shadow_requests_total", **shadow) == 4)


def test_models_share_a_name_that_none_of_them_has(root: Path) -> None:
    place(root, "resnet50", "1", half_plus(50))
    place(root, "resnet101", "1", half_plus(101))
    arms = [
        {"name": "small", "model": "resnet50", "weight": 1},
        {"name": "large", "model": "resnet101", "header": HEADER},
    ]
    with Server(root, "--admin_port=auto") as server, Rest(server.rest) as rest:
        admin = Rest(server.serving["admin"])
        assert change(admin, "PUT", {"arms": [STABLE]}, "resnet").status == 404
        assert change(admin, "PUT", {"arms": arms}, "resnet").status == 200
        assert change(admin, "GET", model="resnet").json["available"] == {"small": True, "large": True}
        assert ask(rest, "resnet") == ("small", 50.5)
        assert ask(rest, "resnet", user_group="canary") == ("large", 101.5)
        assert change(admin, "DELETE", model="resnet").json["split"] is None
        assert change(admin, "DELETE", model="resnet").status == 404
        assert rest.predict("resnet", {"instances": [1.0]}).status == 404


def read_split(admin: Rest) -> tuple[str | None, dict[str, Any] | None]:
    """Returns where the split in force was set, and the split."""
    told = change(admin, "GET").json
    return told["source"], told["split"]


def test_the_file_and_administrators_share_out_requests(rest: Rest, admin: Rest, root: Path) -> None:
    assert read_split(admin) == (None, None)
    assert ask(rest) == (None, 3.5)
    arm = '[[split.arms]]\nname = "stable"\nversion = 1\nweight = 70\n'
    write_settings(root, ALL + arm)
    wait_until(lambda: read_split(admin) == ("file", {"arms": [STABLE]}))
    assert ask(rest) == ("stable", 1.5)

    share_out(admin, arms=[CANARY])
    assert ask(rest) == ("canary", 2.5)
    # A version that comes changes nothing, nor does what the file says meanwhile.
    write_settings(root, ALL + arm.replace("stable", "next").replace("1", "3"))
    place(root, MODEL, "4", half_plus(4))
    wait_until(lambda: rest.states(MODEL).get(4, {}).get("state") == "AVAILABLE")
    assert read_split(admin) == ("admin", {"arms": [CANARY]})
    assert ask(rest) == ("canary", 2.5)

    deleted = change(admin, "DELETE")
    assert (deleted.status, deleted.json["source"]) == (200, "file")
    assert ask(rest) == ("next", 3.5)
    write_settings(root, ALL)
    wait_until(lambda: read_split(admin) == (None, None))
    assert ask(rest) == (None, 4.5)


def test_mistakes_of_administrators_change_nothing(admin: Rest, root: Path) -> None:
    share_out(admin, arms=[STABLE])
    wrong = change(admin, "PUT", {"arms": [STABLE, STABLE | {"weight": -1}], "colour": 1})
    assert wrong.status == 400
    for mistake in (
        "`split.arms[1].name`: `stable` is taken",
        "`split.arms[1].weight`: expected a whole number from 0 to 1000000",
        "unknown key `colour`",
    ):
        assert mistake in wrong.json["error"]
    rows = [
        (change(admin, "PUT", {"arms": [STABLE]}, "nobody"), 404, "nobody"),
        (change(admin, "GET", model="nobody"), 404, "nobody"),
        (change(admin, "PATCH", {}), 405, "PATCH"),
    ]
    for answer, status, message in rows:
        assert answer.status == status, answer.body
        assert message in answer.json["error"]
    assert read_split(admin) == ("admin", {"arms": [STABLE]})
    with Server(root) as server, Rest(server.rest) as rest:
        assert change(rest, "PUT", {"arms": [STABLE]}).status == 403
        assert change(rest, "GET").status == 200
