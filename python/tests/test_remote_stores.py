"""A short form of scenarios/remote_stores.py, and a folder of models in a store."""

from pathlib import Path

import pytest

from salver_testing.clients import Rest
from salver_testing.models import half_plus
from salver_testing.remote_store import Options, RemoteServer, run
from salver_testing.stores import STORES

SHORT = Options(poll_seconds=0.3, pause_seconds=2.0, away_seconds=3.0, weight_bytes=256 * 1024)


@pytest.mark.parametrize("name", sorted(STORES))
def test_versions_come_whole_and_stay_while_the_store_is_away(name: str, tmp_path: Path) -> None:
    with STORES[name]() as store:
        outcome = run(store, tmp_path, SHORT)
    print(outcome)
    assert outcome.report.num_failures == 0, outcome
    assert not outcome.problems, outcome


def test_a_folder_of_models_in_a_store_is_served(tmp_path: Path) -> None:
    with STORES["s3"]() as store:
        store.put("models/one/1/model.onnx", half_plus(1))
        store.put("models/two.onnx", half_plus(2))
        store.put("models/three/1/model.onnx", half_plus(1))
        store.put("models/three/2/model.onnx", half_plus(3))
        store.put("models/three/model.toml", b'versions = "all"\n[labels]\nold = 1\n')
        prefix = store.prefix(SALVER_CACHE_DIR=str(tmp_path))
        with RemoteServer(store.uri("models"), prefix=prefix) as server, Rest(server.rest) as client:
            rows = {"one": 3.0, "two": 4.0, "three": 5.0, "three/versions/2": 5.0, "three/labels/old": 3.0}
            for path, expected in rows.items():
                answer = client.predict(path, {"instances": [4.0]})
                assert answer.json == {"predictions": [expected]}, path
