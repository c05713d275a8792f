"""Answers of the workers of a cluster: the same files as without, whatever happens to a worker."""

import json
import socket

import pytest
from tests.cluster.conftest import joined_nodes, nodes  # noqa: F401  fixtures
from tests.conftest import leftovers
from tests.predicting.conftest import path_of  # noqa: F401  fixture

import prensa
from prensa.cluster.joined import Cluster
from prensa.errors import MissingPackageError, ModelError, SettingError
from prensa.predicting import workers
from prensa.predicting.answers import Form
from prensa.predicting.workers import Model, Settings, Worker

IN_TORCH = {"runtime": "torch", "precision": "fp32"}
ON = {"on": "ray:auto", **IN_TORCH}


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """Two files of rows in windows of 8; the 4th and the 11th of each have no text."""
    monkeypatch.setattr("prensa.predicting.windows.ROWS", 8)
    place = tmp_path / "in"
    place.mkdir()
    for name, count in {"a": 50, "b": 30, "c": 11}.items():
        rows = [{"id": n, "text": None if n in {3, 10} else "a b c d"[: 1 + n % 7]} for n in range(count)]
        (place / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return place


def bytes_in(place):
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


def test_the_files_are_the_same_and_a_stopped_run_goes_on(nodes, path_of, lines, tmp_path, monkeypatch):  # noqa: F811
    """One test, as a worker takes seconds to start: stopped, gone on with while a worker is killed, compared."""
    import ray

    model = path_of("classes")
    prensa.predict(model, tmp_path / "plain", data=lines, **IN_TORCH)

    def stop(stage, done, total):
        if done >= 56:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prensa.predict(model, tmp_path / "out", data=lines, progress=stop, workers=1, **ON)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.jsonl"]
    assert leftovers(tmp_path)

    actors = []
    hire = workers._Hiring.__call__

    def hired(self):
        actors.append(hire(self))
        return actors[-1]

    def kill(stage, done, total):
        if done >= 64 and len(actors) == 1:
            ray.kill(actors[0][0])

    monkeypatch.setattr(workers._Hiring, "__call__", hired)
    # As on a node that has no such directory: its files travel.
    monkeypatch.setattr(Cluster, "on_each_node", lambda self, look, *_: {"there": look() if not _ else ""})
    result = prensa.predict(model, tmp_path / "out", data=lines, progress=kill, workers=1, **ON)
    assert len(actors) == 2
    assert (result.texts, result.answered_before, result.problems) == (91, 56, {"no text": 6})
    assert bytes_in(tmp_path / "out") == bytes_in(tmp_path / "plain")
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on": "dask"}, "`on=dask`: expected ray, ray:local"),
        ({"workers": 2}, "`workers`: only for workers of a cluster; give `on=ray`, too"),
        ({"on": "ray", "worker_cpus": 0}, "`worker_cpus` must be at least 1"),
    ],
)
def test_what_is_no_cluster(path_of, lines, tmp_path, settings, message):  # noqa: F811
    pytest.importorskip("ray")
    with pytest.raises(SettingError, match=message):
        prensa.predict(path_of("classes"), tmp_path / "out", data=lines, **IN_TORCH, **settings)


def model_at(directory):
    settings = Settings("torch", "float32", None, 4096)
    return Model(directory, None, settings, Form("classes", "texts", ("a", "b")), {}, 1)


def test_what_a_worker_lacks_is_named_with_its_node(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=rf"^node {socket.gethostname()}: {tmp_path}"):
        Worker(model_at(tmp_path)).load(None)

    def load(*_, **__):
        raise MissingPackageError("x needs openvino, not installed here")

    monkeypatch.setattr(workers, "load_to_serve", load)
    with pytest.raises(MissingPackageError, match=rf"^node {socket.gethostname()}: x needs openvino"):
        Worker(model_at(tmp_path)).load(None)


def test_the_second_worker_loads_what_the_first_has_chosen(path_of):  # noqa: F811
    first = Worker(model_at(path_of("classes")))
    loaded = first.load(None)
    assert (loaded.runtime, loaded.precision) == ("torch", "float32")
    second = Worker(model_at(path_of("classes")))
    assert second.load(loaded).precision == "float32"
    texts = [["a b", None, "c"]]
    assert second.answer(texts).rows == first.answer(texts).rows
