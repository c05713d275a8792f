import pytest

from prensa.errors import ModelError
from prensa.evaluation.size import list_files


def test_every_file_is_listed_with_its_size(original):
    (original / "model_optimized.pt").write_bytes(b"x" * 7)
    (original / "1_Pooling").mkdir()
    (original / "1_Pooling" / "config.json").write_text("{}")
    (original / ".cache").mkdir()
    (original / ".cache" / "x").write_text("hidden")
    files = list_files(original)
    assert [file.name for file in files if file.kind == "weights"] == ["model.safetensors"]
    assert files[0].nbytes == (original / "model.safetensors").stat().st_size
    assert [(file.name, file.nbytes) for file in files if file.kind == "copy"] == [("model_optimized.pt", 7)]
    assert {file.name for file in files if file.kind == "other"} == {
        *("config.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json")
    }


def test_a_directory_without_weights(tmp_path):
    with pytest.raises(ModelError, match="no weights found"):
        list_files(tmp_path)
