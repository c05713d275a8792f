import pytest

from prensa.checkpoint.locate import locate
from prensa.errors import ModelError


def test_a_directory_is_itself(tmp_path):
    assert locate(tmp_path) == tmp_path
    assert locate(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    "name", ["/no/such/place", "./nothing", "../nothing", "~/no/such/model", "a/b/c", "a b"]
)
def test_what_cannot_be_a_hub_name_is_a_missing_directory(name):
    with pytest.raises(ModelError, match="no such directory$"):
        locate(name)


def test_a_home_that_is_nobodys():
    with pytest.raises(ModelError, match="no-such-user"):
        locate("~no-such-user/model")


def test_a_hub_name_that_is_not_cached_offline(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="the hub did not give a model of that name"):
        locate("someone/some-model")


def test_the_hub_cache_is_used_offline(model, tmp_path, monkeypatch):
    """A cached snapshot as the hub library lays it out."""
    from prensa import inspect

    cache = tmp_path / "hub" / "models--someone--tiny"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("abc")
    (cache / "snapshots").mkdir()
    model.rename(cache / "snapshots" / "abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    path = locate("someone/tiny")
    assert path == cache / "snapshots" / "abc"
    assert inspect("someone/tiny").tensors


def test_of_the_hub_a_setfit_model_is_refused_as_its_pickle_is_not_fetched(tmp_path):
    directory = tmp_path / "snapshots" / "0123"
    directory.mkdir(parents=True)
    (directory / "config_setfit.json").write_text("{}")
    with pytest.raises(ModelError, match=r"a SetFit model, whose classifier \(model_head.pkl\)"):
        locate(directory)
