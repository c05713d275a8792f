"""Sizes and times, as options and parameters take them."""

import pytest

from prensa.amounts import bytes_of, seconds_of
from prensa.errors import SettingError


@pytest.mark.parametrize(
    ("words", "nbytes"),
    [
        (5, 5),
        ("5", 5),
        ("5 B", 5),
        ("20MB", 20_000_000),
        ("1.5kb", 1500),
        ("8 GiB", 8 << 30),
        ("8g", 8_000_000_000),
        ("2Ki", 2048),
        ("1e3", 1000),
    ],
)
def test_sizes(words, nbytes):
    assert bytes_of(words, "max_size", "a size") == nbytes


@pytest.mark.parametrize(
    ("words", "seconds"),
    [(0.5, 0.5), ("5ms", 0.005), ("30 s", 30), ("2min", 120), ("2m", 120), ("1h", 3600), ("0", 0)],
)
def test_times(words, seconds):
    assert seconds_of(words, "timeout") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "words", ["", "MB", "-1", "nan", "inf", "1e999", "5 apples", "5MB5", True, "１ＭＢ x"]
)
def test_what_is_no_amount(words):
    for read in (bytes_of, seconds_of):
        with pytest.raises(SettingError, match=r"`option`: expected an amount, found "):
            read(words, "option", "an amount")
