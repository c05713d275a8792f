import dataclasses

from tests.sample import EVALUATION, manifest

from prensa.evaluation.results import File
from prensa.report import charts


def drawn(monkeypatch, make):
    specs = []
    monkeypatch.setattr(charts, "_draw", lambda spec, values: specs.append((spec, values)) or "")
    return make(), specs


def test_sizes_add_up_to_the_files(monkeypatch):
    chart, [(spec, values)] = drawn(monkeypatch, lambda: charts.size_chart(EVALUATION, {"int8": manifest()}))
    for model, total in (("before pressing", manifest().nbytes_before), ("int8", manifest().nbytes)):
        assert abs(sum(each["megabytes"] for each in values if each["model"] == model) - total / 1e6) < 1e-9
    assert spec["encoding"]["color"]["scale"]["domain"] == ["linear", "embedding", "head", "headers"]
    assert "before pressing 0.0 MB" in chart.description


def test_what_was_pressed_may_not_be_what_was_compared_with(monkeypatch):
    files = (File("model.safetensors", manifest().nbytes_before, "weights"),)
    original = dataclasses.replace(EVALUATION.original, files=files)
    for evaluation, name in (
        (EVALUATION, "before pressing"),
        (dataclasses.replace(EVALUATION, original=original), "original"),
    ):
        _, [(_, values)] = drawn(
            monkeypatch, lambda each=evaluation: charts.size_chart(each, {"int8": manifest()})
        )
        assert values[0]["model"] == name


def test_bits_of_each_layer_in_order(monkeypatch):
    _, [(_, values)] = drawn(
        monkeypatch, lambda: charts.bits_chart(EVALUATION, {"int8": manifest(layers=12)})
    )
    assert [each["layer"] for each in values] == [
        *("embedding", "head"),
        *(f"encoder.layer.{number}" for number in range(12)),
    ]
    bits = {each["layer"]: each["bits"] for each in values}
    assert bits["encoder.layer.11"] == round(8 * (60 + 11) / 64, 4)


def test_names_of_layers():
    names = {
        "encoder.block.3.layer.1.x": "encoder.block.3",
        "model.layers.10.mlp.up.weight": "model.layers.10",
        "transformer.h.0.attn.weight": "transformer.h.0",
        "0.weight": "0",
        "lm_head.weight": "head",
    }
    base = manifest().tensors[-1]
    for name, layer in names.items():
        assert list(charts._layers([dataclasses.replace(base, name=name)])) == [layer]


def test_latencies_are_all_rounds_of_one_text(monkeypatch):
    found, specs = drawn(monkeypatch, lambda: charts.latency_charts(EVALUATION))
    assert [chart.title for chart in found] == [f"Time for one text of {n} tokens" for n in (17, 40, 80)]
    assert [len(values) for _, values in specs] == [42] * 3


def test_reliability_needs_labels(monkeypatch):
    chart, [(spec, _)] = drawn(monkeypatch, lambda: charts.reliability_chart(EVALUATION.results[0]))
    assert chart.title == "Reliability of int8"
    assert len(spec["layer"][1]["data"]["values"]) == 4
    assert charts.reliability_chart(EVALUATION.original) is None


def test_drawings_take_the_colours_of_the_page_and_names_are_text():
    evaluation = dataclasses.replace(
        EVALUATION, results=(dataclasses.replace(EVALUATION.results[0], name="<b>&"),)
    )
    svg = charts.size_chart(evaluation, {"<b>&": manifest()}).svg
    assert svg.startswith('<svg aria-hidden="true" ')
    assert "var(--series-1)" in svg
    assert "currentColor" in svg
    assert "&lt;b&gt;&amp;" in svg
    assert "<b>" not in svg
    assert svg == charts.size_chart(evaluation, {"<b>&": manifest()}).svg


def test_without_manifests_there_is_nothing_to_draw():
    assert charts.size_chart(EVALUATION, {}) is None
    assert charts.bits_chart(EVALUATION, {}) is None
