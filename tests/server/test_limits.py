import pytest

from prensa.errors import SettingError
from prensa.server.limits import Limits


def test_words_are_read():
    limits = Limits(max_wait="2ms", max_body="1.5KB", timeout="2min")
    assert (limits.patience, limits.body, limits.seconds) == (0.002, 1500, 120)
    assert (Limits(max_wait=0).patience, Limits(max_body=7).body, Limits(timeout=0.5).seconds) == (0, 7, 0.5)


@pytest.mark.parametrize(
    "settings",
    [
        {"workers": 0},
        {"max_batch_tokens": -1},
        {"max_queue": 0},
        {"max_texts": 0},
        {"max_texts": 9, "max_queue": 8},
        {"max_wait": "soon"},
        {"max_wait": -1},
        {"max_wait": "nan"},
        {"max_body": "0"},
        {"max_body": "inf"},
        {"timeout": 0},
        {"timeout": "1 year"},
    ],
)
def test_what_is_out_of_range(settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        Limits(**settings)
