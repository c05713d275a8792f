import pytest
import torch

from prensa.errors import DeviceError, SettingError
from prensa.runtime.devices import choose_device, choose_dtype
from prensa.runtime.torch import load_on


def test_the_processor_computes_in_float32_and_accelerators_as_they_are_told():
    assert choose_dtype(None, "cpu") == torch.float32
    assert choose_dtype(None, "cuda") == "auto"
    assert choose_dtype("auto", "cpu") == "auto"
    assert choose_dtype("bfloat16", "cpu") == torch.bfloat16
    with pytest.raises(SettingError, match="`dtype=int8`: expected auto, float32, float16, bfloat16"):
        choose_dtype("int8", "cpu")


def test_a_cuda_device_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert choose_device(None) == "cuda"
    monkeypatch.setattr("torch.cuda._is_in_bad_fork", lambda: True)
    with pytest.raises(DeviceError, match="multiprocessing's spawn method"):
        choose_device(None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert choose_device(None) == choose_device("cpu:0") == "cpu"


@pytest.mark.parametrize("device", ["xpu", "nonsense", "cuda:77", "meta"])
def test_devices_that_are_not_there(device):
    with pytest.raises(DeviceError, match=f"`device={device}`: not available on this machine"):
        choose_device(device)


def test_a_loaded_model_is_ready_to_predict(original, pressed):
    for path in (original, pressed):
        model = load_on(path, torch.float32, "cpu", 0)
        assert not model.training
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
