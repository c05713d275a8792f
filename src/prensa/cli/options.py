"""Options that several commands share, and how their words are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from prensa.vocabulary.settings import TEXTS

NOT_HELD = 1
"""The exit code that says that all was done and the budget not held."""

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="Model directory, or a name on the Hugging Face hub.")
]
Output = Annotated[Path, typer.Option("-o", "--output", help="Directory to write.")]
Texts = Annotated[
    str | None,
    typer.Option(help="Texts to calibrate on: a file or a data set. [default: --data, or built-in texts]"),
]
TextColumn = Annotated[str | None, typer.Option(help="Column of the texts; A,B for pairs.")]
Split = Annotated[str | None, typer.Option(help="Part of the data set in --texts. [default: train]")]
Data = Annotated[
    str | None,
    typer.Option(help="Texts to judge by, with labels if there are any. [default: --texts]"),
]
DataColumn = Annotated[
    str | None, typer.Option(help="Column of the texts in --data. [default: --text-column]")
]
DataSplit = Annotated[
    str | None, typer.Option(help="Part of the data set in --data. [default: test or validation]")
]
LabelColumn = Annotated[
    str | None,
    typer.Option(help="Column of the right answers in --data; A,B,… for one for each label; '' takes none."),
]
Labels = Annotated[
    str | None,
    typer.Option(help="The model's names for the labels in the data: NAME=LABEL,… An empty LABEL skips."),
]
Encoding = Annotated[
    str | None, typer.Option(help="Encoding of the files of texts, such as cp1252. [default: UTF-8]")
]
Limit = Annotated[int | None, typer.Option(help="Judge by this many texts, at random.")]
MaxDrop = Annotated[
    str | None,
    typer.Option(help="Budget: largest drop in accuracy, or in --metric; 0.01 or 1% is one point."),
]
Metric = Annotated[
    str | None,
    typer.Option(
        help="What a drop is of: accuracy, macro_f1, roc_auc, recall:LABEL, precision:LABEL, f1:LABEL, "
        "pr_auc:LABEL, entity_f1, spearman, pearson, exact_match, f1, rouge_l, chrf, bleu, bits_per_byte, "
        "ndcg@10, mrr@10, map, recall@10, neighbours@10. [default: the task's usual one]"
    ),
]
MinRecall = Annotated[
    str | None,
    typer.Option(help="Budget: share of what has a label that the result must find: LABEL=99%,…"),
]
LabelThreshold = Annotated[
    str | None,
    typer.Option(
        help="Give a label only where it is more likely than this: LABEL=0.7,…; LABEL=auto chooses it on "
        "half of the texts."
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, … [default: cuda if available]")]
Force = Annotated[bool, typer.Option("--force", help="Replace the model in the output.")]
On = Annotated[
    str | None,
    typer.Option(help="ray, ray:auto or ray:HOST:PORT: by workers of a Ray cluster. [default: this process]"),
]
Workers = Annotated[
    int | None, typer.Option(help="With --on: how many workers. [default: as many as there is room for]")
]
WorkerCpus = Annotated[int | None, typer.Option(help="With --on: CPUs of each worker. [default: 1]")]
CalibrationSlices = Annotated[
    int | None,
    typer.Option(
        help="Parts that calibration texts are summed up in; as many give the same bytes with and without "
        "--on. [default: 1, with --on 8]"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
NewHead = Annotated[
    bool, typer.Option("--allow-new-head", help="Take a model whose head has no weights yet.")
]
RemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the model's own Python code. Only if you trust it.")
]

# Messages of the library name parameters in backquotes, some with a value: `max_drop`, `preset=int8`.
PARAMETER = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")
WITHOUT_OPTION = {"results": "RESULT", "original": "ORIGINAL", "model": "MODEL"}
TRIM = "--trim-vocabulary"


def with_options(message: str) -> str:
    """Name options in a message where it names parameters: `` `max_drop` `` becomes ``--max-drop``."""
    return PARAMETER.sub(_option, message)


def _option(match: re.Match[str]) -> str:
    name, value = match.groups()
    if name in WITHOUT_OPTION:
        return WITHOUT_OPTION[name]
    option = "--" + name.replace("_", "-")
    if value is None:
        return option
    return f"{option} {value}"


def with_usual_values(arguments: Sequence[str]) -> list[str]:
    """Give ``--trim-vocabulary`` its usual value if none follows: an option of typer always takes one."""
    completed: list[str] = []
    for position, word in enumerate(arguments):
        completed.append(word)
        if word != TRIM:
            continue
        is_last = position + 1 == len(arguments)
        if is_last or arguments[position + 1].startswith("-"):
            completed.append(TEXTS)
    return completed
