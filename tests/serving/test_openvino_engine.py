"""How exports are compiled by OpenVINO."""

import pytest

from prensa.serving.openvino_engine import _compile

openvino = pytest.importorskip("openvino")


def test_what_is_kept_for_each_shape_is_bounded(monkeypatch, tmp_path):
    settings = []

    class Core:
        def read_model(self, file):
            return file

        def compile_model(self, model, device, own):
            settings.append(own)
            if "CACHE_DIR" in own:
                raise RuntimeError("a full disk")
            return model

    monkeypatch.setattr(openvino, "Core", Core)
    assert _compile(tmp_path / "model.xml", "fp32") == tmp_path / "model.xml"
    # By default 5,000 of each kind: gigabytes for a server that meets many lengths.
    assert [own["CPU_RUNTIME_CACHE_CAPACITY"] < 5000 for own in settings] == [True, True]
