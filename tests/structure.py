"""Reports on shrunk models, made by hand."""

from prensa.checkpoint.manifest import DistillReport, GoneReport, PartReport, ShrinkReport

DISTILLED = DistillReport(texts=2000, steps=1234, seconds=600.0, loss_before=0.5, loss_after=0.0312)


def part(layer, kind, before, after, cost=0.01):
    return PartReport(layer, kind, before, tuple(range(after)), cost if after < before else 0.0)


def report(parts=None, layers=(0, 2, 3), **more):
    """Make a report of four layers, of which the second went and the third stayed whole."""
    if parts is None:
        parts = (
            part(0, "heads", 12, 7, 0.01),
            part(0, "neurons", 3072, 1000, 0.02),
            part(2, "heads", 12, 12),
            part(2, "neurons", 3072, 3072),
            part(3, "heads", 12, 1, 0.03),
            part(3, "neurons", 3072, 96, 0.04),
        )
    settings = {
        "layers_before": 4,
        "wanted": 2.0,
        "faster": 2.04,
        "where": "openvino int8, A processor",
        "texts": "train.csv",
        "fitted": 640,
        "change": 0.0123,
        "gone": tuple(GoneReport(layer, 0.05) for layer in range(4) if layer not in layers),
    }
    return ShrinkReport(layers=layers, parts=parts, **{**settings, **more})
