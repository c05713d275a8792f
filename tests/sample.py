"""An evaluation and a manifest made by hand, with everything in them that can be shown."""

from prensa.checkpoint.kinds import Task
from prensa.checkpoint.manifest import FileReport, Manifest, PassReport, TensorReport
from prensa.evaluation.figures import Bin, Disagreement, Drop, Figure, McNemar, Metric, Quality
from prensa.evaluation.results import Data, Evaluation, File, Machine, Memory, Model, Settings, Timing

MARKUP = (
    "<script>document.title = 'owned'</script><img src=https://example.com/x.png onerror=alert(1)> & \"so\""
)


def _timings(factor):
    single = tuple(round(factor * (0.02 + 0.0005 * (i % 7)), 6) for i in range(21))
    several = tuple(round(factor * (0.3 + 0.01 * (i % 3)), 6) for i in range(9))
    return (Timing(17, 1, single), Timing(40, 1, single), Timing(80, 1, single), Timing(44, 32, several))


def _files(size, *, copy=False):
    more = (File("model_optimized.pt", size, "copy"),) if copy else ()
    return (File("model.safetensors", size, "weights"), *more, File("tokenizer.json", 700_000, "other"))


QUALITY = Quality(
    drop=Drop("accuracy", 0.003, (-0.001, 0.008)),
    metrics=(
        Metric("accuracy", 0.92, 0.917, (-0.008, 0.001)),
        Metric("macro F1", 0.9187, 0.9155, (-0.0085, 0.0012)),
        Metric("F1: <b>toxic</b>", 0.9201, 0.9172, (-0.009, 0.002)),
        Metric("ROC-AUC", None, None, None, note="needs right answers of at least two classes"),
        Metric("calibration error", 0.021, 0.024, (-0.002, 0.009), higher_is_better=False),
    ),
    figures=(
        Figure("same answer", 0.989, is_share=True),
        Figure("mean divergence (KL, nats)", 0.00124),
        Figure("largest divergence (KL, nats)", 0.41),
        Figure("largest change of a probability", 0.283, is_share=True),
    ),
    mcnemar=McNemar(19, 7, 0.029),
    reliability_original=(Bin(120, 0.63, 0.6), Bin(2880, 0.97, 0.95)),
    reliability=(Bin(150, 0.62, 0.58), Bin(2850, 0.96, 0.95)),
    disagreement="divergence (KL, nats)",
    disagreements=(
        Disagreement(MARKUP, "<b>toxic</b>", "non-toxic 61.0 %", "<b>toxic</b> 51.2 %", 0.41),
        Disagreement(
            "שלום world, " + "a long text " * 60, "non-toxic", "non-toxic 88.0 %", "non-toxic 70.0 %", 0.2
        ),
        Disagreement(
            "bell \x07 and escape \x1b[31m", "non-toxic", "non-toxic 90.0 %", "non-toxic 80.0 %", 0.1
        ),
    ),
)

EVALUATION = Evaluation(
    settings=Settings("models/my deberta", ("out/int8",), data="comments.csv", batch_size=32, max_drop=0.005),
    date="2026-11-24",
    machine=Machine(
        processor="A processor",
        instruction_sets=("avx2", "avx512_vnni"),
        cores=2,
        threads=2,
        memory_bytes=25_000_000_000,
        system="Linux 6.1, Python 3.11.7",
        accelerator="",
        versions={"prensa": "0.2.0", "torch": "2.13.0"},
    ),
    task=Task("classes", ("non-toxic", "<b>toxic</b>")),
    data=Data(
        name="comments.csv",
        columns=("text",),
        label_columns=("label",),
        texts=3000,
        measured=3000,
        labelled=True,
        is_smoke_test=False,
        truncated=12,
        max_length=512,
        quartiles=(2, 17, 40, 80, 512),
    ),
    device="cpu",
    batch_size=32,
    nbytes_float32=90_860_000,
    original=Model(
        "original",
        "/nowhere/my deberta",
        "float32",
        _files(90_868_488),
        timings=_timings(1.0),
        memory=Memory((0.03, 0.02, 0.04), 388_000_000, 880_000_000, None),
    ),
    results=(
        Model(
            "int8",
            "/nowhere/out/int8",
            "float32",
            _files(18_970_000, copy=True),
            recipe='format = "packed"\n',
            quality=QUALITY,
            timings=_timings(0.8),
            memory=Memory((0.13, 0.12, 0.14), 388_000_000, 990_000_000, None),
        ),
    ),
    missing=(),
    problems=(),
    prensa_version="0.2.0",
)


def tensor(name, role, shape, nbytes, **more):
    before = 4
    for size in shape:
        before *= size
    return TensorReport(
        name,
        role,
        shape,
        "float32",
        "float16",
        "model.safetensors",
        "planes",
        before,
        nbytes,
        3,
        1e-4,
        **more,
    )


def manifest(layers=2):
    passes = (PassReport("half", 0, 1e-8), PassReport("quantize", 3, 1e-4))
    tensors = [
        tensor("deberta.embeddings.word_embeddings.weight", "embedding", (300, 8), 1900, passes=passes)
    ]
    for layer in range(layers):
        for part in ("query", "key", "value", "output", "up", "down"):
            name = f"deberta.encoder.layer.{layer}.{part}.weight"
            tensors.append(tensor(name, "linear", (8, 8), 60 + layer, passes=passes))
    tensors.append(tensor("classifier.<i>bias</i>", "head", (2,), 4, note="half: <u>kept</u>"))
    size = sum(each.nbytes for each in tensors) + 100
    before = sum(each.nbytes_before for each in tensors) + 80
    files = (FileReport("model.safetensors", size, "0" * 64),)
    return Manifest("packed", before, before, files, tuple(tensors), "0.2.0")
