import pytest
from tests.structure import DISTILLED, part, report

from prensa.checkpoint.shrunk import (
    account,
    is_uneven,
    kinds_in,
    layer_widths,
    layers_in_words,
    loading_in_words,
    markdown,
    speed_in_words,
)


def test_widths_of_each_layer_of_the_original():
    layers = layer_widths(report())
    assert [layer.number for layer in layers] == [0, 1, 2, 3]
    assert [layer.width("heads") for layer in layers] == ["12 → 7", "gone", "12", "12 → 1"]
    assert [layer.width("neurons") for layer in layers] == ["3,072 → 1,000", "gone", "3,072", "3,072 → 96"]
    assert [layer.cost for layer in layers] == [
        pytest.approx(0.03),
        pytest.approx(0.05),
        None,
        pytest.approx(0.07),
    ]


def test_several_blocks_of_a_layer_are_added_up():
    parts = (part(0, "neurons", 512, 500, 0.1), part(0, "neurons", 512, 100, 0.2))
    [layer] = layer_widths(report(parts, layers=(0,), layers_before=1))
    assert layer.width("neurons") == "1,024 → 600"
    assert layer.width("heads") == "–"
    assert layer.cost == pytest.approx(0.3)


def test_kinds_that_could_go():
    assert kinds_in(report()) == ["heads", "neurons"]
    assert kinds_in(report(parts=(part(0, "neurons", 8, 4),))) == ["neurons"]
    assert kinds_in(report(parts=())) == []


@pytest.mark.parametrize(
    ("parts", "uneven"),
    [
        ((), False),
        ((part(0, "neurons", 8, 4), part(1, "neurons", 8, 4)), False),
        ((part(0, "neurons", 8, 4), part(1, "neurons", 8, 5)), True),
        ((part(0, "heads", 8, 8), part(1, "heads", 8, 8)), False),
        ((part(0, "heads", 8, 4), part(1, "heads", 8, 4)), True),
    ],
)
def test_what_a_config_cannot_say(parts, uneven):
    assert is_uneven(report(parts)) is uneven


def test_layers_in_words():
    assert layers_in_words(report()) == "Layers: 3 of 4 stay; 1 is gone (counted from 0)."
    assert layers_in_words(report(layers=(0, 3))) == "Layers: 2 of 4 stay; 1, 2 are gone (counted from 0)."
    assert layers_in_words(report(layers=(0, 1, 2, 3))) == "Layers: all 4 stay."


def test_a_speed_that_was_missed_is_said():
    assert speed_in_words(report()) == "Speed: 2.04 times as fast, measured in openvino int8, A processor."
    assert speed_in_words(report(faster=1.97)).endswith("A processor.")
    assert speed_in_words(report(faster=1.8)).endswith("A processor; 2.00 was the aim.")


def test_everything_in_a_few_sentences():
    lines = account(report(distilled=DISTILLED))
    assert len(lines) == 4
    assert lines[2] == (
        "Fitted on 640 texts of train.csv; before rounding, the outputs on others differ by 1.2 % of their "
        "variance."
    )
    assert lines[3] == (
        "Distilled: 1,234 steps in 10.0 minutes on 2,000 texts; loss 0.5 → 0.0312 on texts kept apart."
    )
    assert len(account(report())) == 3


def test_who_can_load_it():
    even = report(parts=(part(0, "neurons", 8, 4),))
    assert "without Prensa" in loading_in_words(even, needs_prensa=False)
    assert "narrower than a config can say" in loading_in_words(report(), needs_prensa=True)
    assert "format of the weights" in loading_in_words(even, needs_prensa=True)


def test_a_name_is_no_markup():
    text = markdown(report(texts="<b>a|b</b>.csv"), needs_prensa=True)
    assert "&lt;b&gt;a\\|b&lt;/b&gt;.csv" in text
    assert "\n\n| layer | heads | feed-forward |\n|--:|--:|--:|\n| 0 | 12 → 7 | 3,072 → 1,000 |\n" in text
    assert "| 1 | gone | gone |" in text
    assert "|" not in markdown(report(parts=()), needs_prensa=False)
