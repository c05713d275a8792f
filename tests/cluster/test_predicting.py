"""Whole jobs on a cluster: the same files as without one, whatever happens to a worker."""

import json

import pytest
from tests.conftest import leftovers
from tests.predicting.conftest import path_of  # noqa: F401  fixture

import prensa
from prensa.cluster.joined import Cluster
from prensa.predicting import workers

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
    monkeypatch.setattr(
        Cluster, "on_each_node", lambda _, look, *given, **__: [("there", "" if given else look())]
    )
    result = prensa.predict(model, tmp_path / "out", data=lines, progress=kill, workers=1, **ON)
    assert len(actors) == 2
    assert (result.texts, result.problems) == (91, {"no text": 6})
    # The worker may have answered more by the time it is stopped.
    assert 56 <= result.answered_before < 91
    assert bytes_in(tmp_path / "out") == bytes_in(tmp_path / "plain")
    assert not leftovers(tmp_path)
