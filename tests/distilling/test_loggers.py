import pytest
from tests.distilling.test_distill import KINDS, models, planned
from transformers import TrainerCallback, integrations
from transformers.integrations import integration_utils

from prensa.distilling.distill import distill
from prensa.distilling.loggers import VARIABLE, loggers
from prensa.errors import SettingError

pytest.importorskip("accelerate")


@pytest.fixture
def listener(monkeypatch):
    """Install a logger called ``listener``, and return what it is told."""
    heard = []

    class Listener(TrainerCallback):
        def on_log(self, _arguments, state, _control, logs, **_others):
            heard.append((state.global_step, *logs))

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "listener", Listener)
    installed = ["listener", "tensorboard"]
    monkeypatch.setattr(integrations, "get_available_reporting_integrations", lambda: installed)
    return heard


def learn(tmp_path):
    texts = tmp_path / "many.csv"
    texts.write_text("\n".join(["text", *(f"{'abcdefghij'[n % 10]} {n}" for n in range(240))]) + "\n")
    path = KINDS["classes"](tmp_path / "model")
    distill(*models(path), planned(path, texts))


def test_each_step_and_each_look_is_told(tmp_path, listener, monkeypatch):
    monkeypatch.setenv(VARIABLE, "listener")
    learn(tmp_path)
    steps = [step for step, *names in listener if "loss" in names]
    assert steps == list(range(1, 13))
    assert any("loss_apart" in names for _, *names in listener)


def test_nobody_is_told_unasked(tmp_path, listener):
    learn(tmp_path)
    assert listener == []


def test_several_are_named_with_commas(listener, monkeypatch):
    monkeypatch.setenv(VARIABLE, " listener, tensorboard ,")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "runs")
    assert loggers() == ["listener", "tensorboard"]


def test_one_that_is_not_installed_is_refused_before_a_weight_is_read(tmp_path, listener, monkeypatch):
    monkeypatch.setenv(VARIABLE, "wandb")
    with pytest.raises(SettingError, match=r"wandb is no logger .* \(installed: listener, tensorboard\)"):
        planned(tmp_path / "nowhere", tmp_path / "nothing.csv")


def test_tensorboard_needs_a_directory(listener, monkeypatch):
    monkeypatch.setenv(VARIABLE, "tensorboard")
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    with pytest.raises(SettingError, match="set TENSORBOARD_LOGGING_DIR=runs"):
        loggers()
