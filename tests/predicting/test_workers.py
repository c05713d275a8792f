"""A worker of a cluster by itself, and what is refused before there is one."""

import socket

import pytest
import torch

import prensa
from prensa.checkpoint.roles import load_config
from prensa.errors import MissingPackageError, ModelError, SettingError
from prensa.ops import parallel
from prensa.predicting import workers
from prensa.predicting.answers import Form, form_of
from prensa.predicting.on_node import OnNode
from prensa.predicting.workers import Model, Settings, Worker

IN_TORCH = {"runtime": "torch", "precision": "fp32"}
FORM = Form("classes", "texts", ("a", "b"))


@pytest.fixture(autouse=True)
def own_threads(monkeypatch):
    """A worker takes its share of the cores for good: here others use the process after it."""
    before = torch.get_num_threads()
    monkeypatch.setattr(parallel, "_SHARE", parallel._Share())
    yield
    torch.set_num_threads(before)
    parallel._pool.cache_clear()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on": "dask"}, "`on=dask`: expected ray, ray:local"),
        ({"workers": 2}, "`workers`: only for workers of a cluster; give `on=ray`, too"),
        ({"on": "ray", "worker_cpus": 0}, "`worker_cpus` must be at least 1"),
    ],
)
def test_what_is_no_cluster(path_of, tmp_path, settings, message):
    pytest.importorskip("ray")
    with pytest.raises(SettingError, match=message):
        prensa.predict(path_of("classes"), tmp_path / "out", data=tmp_path, **IN_TORCH, **settings)


def model_at(directory, form=FORM):
    settings = Settings("torch", "float32", None, 4096)
    on_node = OnNode(directory, None, {}, 1)
    return Model(on_node, settings, form)


def test_what_a_worker_lacks_is_named_with_its_node(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=rf"^node {socket.gethostname()}: {tmp_path}"):
        Worker(model_at(tmp_path)).load(None)

    def load(*_, **__):
        raise MissingPackageError("x needs openvino, not installed here")

    monkeypatch.setattr(workers, "load_to_serve", load)
    with pytest.raises(MissingPackageError, match=rf"^node {socket.gethostname()}: x needs openvino"):
        Worker(model_at(tmp_path)).load(None)


def test_the_second_worker_loads_what_the_first_has_chosen(path_of):
    path = path_of("classes")
    form = form_of(path, load_config(path), "", all_scores=True, is_strict=False)
    first = Worker(model_at(path, form))
    loaded = first.load(None)
    assert (loaded.runtime, loaded.precision) == ("torch", "float32")
    second = Worker(model_at(path, form))
    assert second.load(loaded).precision == "float32"
    texts = [["a b", None, "c"]]
    answered = first.answer(texts)
    assert answered.rows == second.answer(texts).rows
    assert answered.problems == {"no text": 1}
