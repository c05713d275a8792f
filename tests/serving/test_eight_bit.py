import pytest
import torch
from tests.conftest import build_model

import prensa
from prensa.pressing.recipe import Changes, adjusted, load_preset

pytest.importorskip("bitsandbytes")
pytest.importorskip("accelerate")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, "auto"])
def test_an_eight_bit_model_computes_in_the_dtype_that_was_asked_for(tmp_path, dtype):
    """transformers leaves weights in the dtype they are stored in, and biases not."""
    original = build_model("deberta", tmp_path / "model")
    prensa.compress(
        original, tmp_path / "out", recipe=adjusted(load_preset("int8"), Changes(format="bitsandbytes"))
    )
    model = prensa.load(tmp_path / "out", dtype=dtype)
    expected = torch.float16 if dtype == "auto" else dtype
    assert {weight.dtype for weight in model.parameters()} == {expected, torch.int8}
    ids = torch.arange(5, 15).reshape(1, 10)
    with torch.inference_mode():
        before, after = prensa.load(original)(ids).logits, model(ids).logits
    assert torch.allclose(before, after.float(), atol=0.2)
