"""`/admin/models` and `/admin/config`: what is served, told and changed by HTTP."""

import json
from pathlib import Path

import pytest

from salver_testing.clients import Answer, Rest
from salver_testing.models import half_plus, place
from salver_testing.server import Server

ADMIN_PORT = "--admin_port=auto"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A served folder of one model, and models elsewhere."""
    place(tmp_path / "served", "two", "1", half_plus(2))
    place(tmp_path / "elsewhere", "three", "1", half_plus(3))
    place(tmp_path / "elsewhere", "three", "2", half_plus(4))
    place(tmp_path / "elsewhere", "broken", "1", b"no model")
    return tmp_path


def put(admin: Rest, name: str, body: object, headers: dict[str, str] | None = None) -> Answer:
    """Puts a model."""
    return admin.request("PUT", f"/admin/models/{name}", json.dumps(body).encode(), headers)


def predicts(rest: Rest, model: str) -> float:
    """Predicts for 1.0."""
    answer = rest.predict(model, {"instances": [1.0]})
    assert answer.status == 200, answer.body
    return answer.json["predictions"][0]


def test_models_are_added_read_back_and_removed(folder: Path) -> None:
    base_path = str(folder / "elsewhere/three")
    with Server(folder / "served", ADMIN_PORT) as server:
        admin, rest = Rest(server.serving["admin"]), Rest(server.rest)
        body = {"base_path": base_path, "versions": "all", "labels": {"stable": 1}}
        added = put(admin, "three", body)
        assert added.status == 200, added.body
        assert added.json["labels"] == {"stable": 1}
        assert added.json["available"] is True
        # The answer waits for one version of a model, as TensorFlow Serving does.
        while rest.get("/v1/models/three/labels/stable/metadata").status != 200:
            assert server.is_alive
        assert predicts(rest, "three/labels/stable") == 3.5
        assert predicts(rest, "two") == 2.5

        listed = {model["name"]: model for model in admin.get("/admin/models").json["models"]}
        assert (listed["two"]["source"], listed["three"]["source"]) == ("folder", "list")
        assert listed["three"]["base_path"] == base_path
        assert admin.get("/admin/models/three").json["versions"] == "all"

        text = admin.get("/admin/config?format=text").body.decode()
        assert f'base_path: "{base_path}"' in text
        config = admin.get("/admin/config").json["model_config_list"]["config"]
        assert {model["name"] for model in config} == {"two", "three"}

        put(admin, "three", {"base_path": base_path, "versions": [1]})
        assert predicts(rest, "three/versions/1") == 3.5
        removed = admin.request("DELETE", "/admin/models/three")
        assert (removed.status, removed.json) == (200, {"removed": "three"})
        assert admin.get("/admin/models/three").status == 404
        assert predicts(rest, "two") == 2.5


def test_the_text_that_is_read_back_starts_another_server(folder: Path) -> None:
    with Server(folder / "served", ADMIN_PORT) as server:
        admin = Rest(server.serving["admin"])
        put(admin, "three", {"base_path": str(folder / "elsewhere/three"), "labels": {"stable": 2}})
        text = admin.get("/admin/config?format=text").body
    file = folder / "models.config"
    file.write_bytes(text)
    with Server(None, f"--model_config_file={file}") as server, Rest(server.rest) as rest:
        assert predicts(rest, "two") == 2.5
        assert predicts(rest, "three/labels/stable") == 4.5


def test_mistakes_are_told_in_json(folder: Path) -> None:
    with Server(folder / "served", ADMIN_PORT) as server:
        admin = Rest(server.serving["admin"])
        rows = [
            (put(admin, "m", {"base_path": "m"}), 400, "absolute path or URI"),
            (put(admin, "m", {"path": "/m"}), 400, "unknown key `path`"),
            (put(admin, "m", {"base_path": "/m", "platform": "p"}), 400, "unsupported platform p"),
            (put(admin, "m", {"base_path": str(folder / "gone")}), 422, "its base path does not exist"),
            (put(admin, "broken", {"base_path": str(folder / "elsewhere/broken")}), 422, "did not become available"),
            (admin.request("DELETE", "/admin/models/two"), 409, "the folder that is served"),
            (admin.request("DELETE", "/admin/models/nobody"), 404, "nobody"),
            (admin.request("PATCH", "/admin/models/two"), 405, "PATCH"),
            (admin.get("/admin/nothing"), 404, "/admin/models"),
        ]
        for answer, status, message in rows:
            assert answer.status == status, answer.body
            assert message in answer.json["error"]
        states = admin.get("/admin/models/broken").json["status"]
        assert states[0]["state"] == "START"
        assert states[0]["error_code"] == "INVALID_ARGUMENT"


def test_changes_need_a_port_of_their_own_or_a_flag_and_never_come_from_web_pages(folder: Path) -> None:
    body = {"base_path": str(folder / "elsewhere/three")}
    with Server(folder / "served") as server, Rest(server.rest) as rest:
        refused = put(rest, "three", body)
        assert refused.status == 403
        assert "--admin_model_changes" in refused.json["error"]
        assert rest.get("/admin/models").status == 200
        assert rest.get("/v1/models").json == {"error": "Missing model name in request."}
    with Server(folder / "served", "--admin_model_changes") as server, Rest(server.rest) as rest:
        assert put(rest, "three", body, {"Origin": "http://localhost"}).status == 403
        assert put(rest, "three", body).status == 200


def test_a_file_that_is_read_again_is_the_only_truth(folder: Path) -> None:
    file = folder / "models.config"
    file.write_text(f"model_config_list {{ config {{ name: 'two' base_path: '{folder / 'served/two'}' }} }}")
    flags = [f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=60", ADMIN_PORT]
    with Server(None, *flags) as server:
        admin = Rest(server.serving["admin"])
        refused = put(admin, "three", {"base_path": str(folder / "elsewhere/three")})
        assert refused.status == 409
        assert "read again" in refused.json["error"]
