import json

import pytest
from prensa.runtime.pooling import Pool, read_pool


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ([], "mean"),
    ],
)
def test_the_mode_of_sentence_transformers(tmp_path, config, mode):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(config))
    assert read_pool(tmp_path) == Pool(mode)


def test_any_other_model_takes_the_mean(tmp_path):
    assert read_pool(tmp_path) == Pool("mean")
