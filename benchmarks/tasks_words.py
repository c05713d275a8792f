"""A word classifier compressed within a budget of its own terms: entity F1, and the recall of a rare label.

``toxic-deberta``'s encoder gets a new head and learns for a few minutes to mark words of the comments by
rule: names, and the rarer numbers. It reads lower case, so names are hard. The labels are made by rule, so
what is measured is how much a small result loses, and nothing about how well people would be found. Some of
the training comments are kept apart to search by, and the test comments are judged by.
"""

from __future__ import annotations

import csv
import json
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import SHARED
from prensa.evaluation.budget import Budget
from prensa.evaluation.halves import halve_texts
from prensa.evaluation.judge import Judge, plan_judge
from prensa.evaluation.results import Evaluation
from prensa.texts.library import Library
from prensa.texts.source import Source

TRAIN = SHARED / "data" / "toxic-comments" / "train.csv"
KINDS = ("NAME", "NUMBER")
RAREST = "NUMBER"
SECONDS = 900.0
METRIC = "entity_f1"
MOST_OF_F1 = 0.005
# Below the original's own recall of the rarest label.
LESS_RECALL = 0.05

_WORDS = 48
_FEWEST_WORDS = 4
_BATCH = 16
_RATE = 1e-4
# The head starts from nothing, and comments with the rarest label are few.
_RATE_OF_HEAD = 1e-3
_WARM_UP = 20  # steps
_LARGEST_GRADIENT = 1.0
_TIMES_AS_OFTEN = 4
_IGNORED = -100
_LABELS = ("O", *(f"{begin}-{kind}" for kind in KINDS for begin in "BI"))

Row = dict[str, list[str]]


def words(limit: int | None) -> dict[str, Any]:
    """Train, compress with a search, and judge on comments that nothing has seen.

    With a limit, which is only to try it, training takes a second for each comment at most.
    """
    seconds = SECONDS if limit is None else min(SECONDS, float(limit))
    test = rows_of(COMMENTS, limit)
    train = rows_of(TRAIN, limit)
    # The rest is for the search: half a point of F1 takes many entities to decide.
    learnt = len(train) // 3
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = folder / "model"
        texts = write(folder / "train.jsonl", train[:learnt])
        searched = write(folder / "search.jsonl", train[learnt:])
        judged = write(folder / "judge.jsonl", test)
        steps = learn(train[:learnt], model, seconds)
        needed = {RAREST: round(own_recall(model, searched) - LESS_RECALL, 4)}
        if needed[RAREST] <= 0:
            raise SystemExit(f"the model has not learnt {RAREST}, so its recall is no measure; train longer")
        made = prensa.compress(
            model,
            folder / "small",
            preset="small",
            texts=Source(texts),
            data=Source(searched),
            metric=METRIC,
            max_drop=MOST_OF_F1,
            min_recall=needed,
        )
        found: dict[str, Any] = {"held": made.held}
        if made.outcome is not None and made.outcome.drop is not None:
            found |= {"decision": made.outcome.decision, "drop_in_check": made.outcome.drop.value}
        if made.manifest is not None:
            evaluation = prensa.evaluate(
                model,
                folder / "small",
                data=Source(judged),
                device="cpu",
                dtype="float32",
                metric=METRIC,
                max_drop=MOST_OF_F1,
                min_recall=needed,
            )
            found |= summary(evaluation)
    return {
        "model": "toxic-deberta's encoder with a head for words, labels made by rule",
        "words": count(test),
        "comments": len(test),
        "trained_seconds": seconds,
        "steps": steps,
        "min_recall": needed,
        "result": found,
    }


def rows_of(path: Path, limit: int | None) -> list[Row]:
    """Return comments as words with the labels that rules give them."""
    rows: list[Row] = []
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            words = line["text"].split()[:_WORDS]
            if len(words) >= _FEWEST_WORDS:
                rows.append({"tokens": words, "ner_tags": list(tagged(words))})
            if limit is not None and len(rows) == limit:
                break
    return rows


def tagged(words: Sequence[str]) -> Iterator[str]:
    """Yield a label for each word: words of one kind that follow each other are one entity."""
    before = ""
    first = True
    for word in words:
        kind = kind_of(word, first=first)
        if not kind:
            yield "O"
        elif kind == before:
            yield f"I-{kind}"
        else:
            yield f"B-{kind}"
        before = kind
        first = word.endswith((".", "!", "?"))


def kind_of(word: str, *, first: bool) -> str:
    """Return what a word is, the empty string for most. The first word of a sentence is no name."""
    letters = re.sub(r"[^A-Za-z]", "", word)
    if any(letter.isdigit() for letter in word):
        return "NUMBER"
    if letters[:1].isupper() and not first:
        return "NAME"
    return ""


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows as lines of JSON."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def learn(rows: Sequence[Row], output: Path, seconds: float) -> int:
    """Train a head and the encoder below it for some time, and save them. Return the number of steps."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    names = dict(enumerate(_LABELS))
    model = AutoModelForTokenClassification.from_pretrained(
        MODEL,
        dtype=torch.float32,
        num_labels=len(_LABELS),
        id2label=names,
        label2id={name: number for number, name in names.items()},
        ignore_mismatched_sizes=True,
    )
    # Gradients of the vocabulary's table would take half of the time, and the few texts change little in it.
    model.base_model.embeddings.requires_grad_(requires_grad=False)
    head = list(model.classifier.parameters())
    body = list(model.base_model.encoder.parameters())
    groups: list[dict[str, Any]] = [{"params": body}, {"params": head, "lr": _RATE_OF_HEAD}]
    optimizer = torch.optim.AdamW(groups, lr=_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / _WARM_UP, total_iters=_WARM_UP)
    often = [_TIMES_AS_OFTEN if f"B-{RAREST}" in row["ner_tags"] else 1 for row in rows]
    draw = random.Random(0)
    end = time.monotonic() + seconds
    steps = 0
    model.train()
    while time.monotonic() < end:
        batch = encoded(tokenizer, draw.choices(rows, weights=often, k=_BATCH))
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        steps += 1
    model.eval().save_pretrained(output)
    tokenizer.save_pretrained(output)
    return steps


def encoded(tokenizer: Any, rows: Sequence[Row]) -> Any:  # noqa: ANN401  transformers' own
    """Return a batch whose labels are those of each word's first token."""
    words = [row["tokens"] for row in rows]
    batch = tokenizer(
        words, is_split_into_words=True, padding=True, truncation=True, max_length=128, return_tensors="pt"
    )
    labels = torch.full_like(batch["input_ids"], _IGNORED)
    for number, row in enumerate(rows):
        before = None
        for place, word in enumerate(batch.word_ids(number)):
            if word is not None and word != before:
                labels[number, place] = _LABELS.index(row["ner_tags"][word])
            before = word
    batch["labels"] = labels
    return batch


def own_recall(model: Path, data: Path) -> float:
    """Return how much of the rarest label the trained model finds itself, in the half with less of it.

    A search looks for it in one half, and confirms what it found in the other.
    """
    plan = plan_judge(model, Source(data), library=Library(), device="cpu", dtype="float32")
    terms = Budget(max_drop=1.0, metric=METRIC, min_recall={RAREST: 0.0})
    judge = Judge(plan.in_terms_of(terms))
    halves = halve_texts(plan.texts)
    values = []
    for half in (halves.search, halves.check):
        quality = judge.own_quality(half)
        assert quality is not None
        (recall,) = quality.recalls
        assert recall.value is not None
        values.append(recall.value)
    return min(values)


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return the size of the result, and what it lost."""
    (result,) = evaluation.results
    quality = result.quality
    assert quality is not None
    assert quality.drop is not None
    return {
        "share": round(result.weight_bytes / evaluation.original.weight_bytes, 4),
        "f1_drop": quality.drop.value,
        "interval": quality.drop.interval,
        "recalls": {each.label: each.value for each in quality.recalls},
        "metrics": {each.name: (each.original, each.result) for each in quality.metrics},
    }


def count(rows: Sequence[Row]) -> dict[str, int]:
    """Count the entities of each kind."""
    kinds: Counter[str] = Counter()
    for row in rows:
        kinds.update(tag[2:] for tag in row["ner_tags"] if tag.startswith("B-"))
    return dict(kinds)
