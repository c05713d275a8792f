"""Put the measured numbers into the documents: ``python -m benchmarks.table`` writes what ``results/`` says.

A document marks the place of each block: ``<!-- presets -->`` … ``<!-- /presets -->``. In every table a drop
is positive where the result is worse than its original.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, ROOT
from benchmarks.table_words import ENGLISH, SPANISH, Words
from prensa.wording import number, score

# The fastest that stays within a point.
SHRUNK = "6×, 30 minutes of distillation"
# What ten minutes of healing make smaller than any budget without it.
HEALED = "small, noise 0.016, healed"
DOCUMENTS = ("README.md", "README.es.md", "docs/results.md", "docs/classic.md", "docs/classic.es.md")


def main() -> None:
    """Rewrite the blocks of numbers in each document."""
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(updated(path), encoding="utf-8")


def updated(path: Path) -> str:
    """Return the text of a document with the numbers of the results."""
    text = path.read_text(encoding="utf-8")
    words = SPANISH if path.name.endswith(".es.md") else ENGLISH
    for name, make in BLOCKS.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start not in text:
            continue
        before, _, rest = text.partition(start)
        after = rest.partition(end)[2]
        block = "\n".join(make(words))
        text = f"{before}{start}{block}\n{end}{after}"
    return text


def headline(words: Words) -> list[str]:
    """Say the best size and speed in one sentence, beside bitsandbytes."""
    calibrated, budget = _result("calibrated"), _result("budget")
    serving = _result("serving")
    shrunk = _result("shrink")["results"][SHRUNK]
    quality = _result("quality")["results"]
    before, after = calibrated["nbytes_before"], budget["winner"]["nbytes"]
    low, high = budget["check_interval"]
    sentence = words["headline"].format(
        # Only what was gained in speed depends on it.
        processor=serving["machine"]["processor"],
        before=before / 1e6,
        after=after / 1e6,
        share=100 * after / before,
        drop=_points(budget["check"]["drop"]),
        low=_points(low),
        high=_points(high),
        faster=serving["results"]["openvino int8"]["times_as_fast"],
        shrunk=shrunk["times_pytorch"],
        shrunk_drop=_points(-shrunk["accuracy_change"]),
        other=calibrated["results"]["bitsandbytes int8"]["nbytes"] / 1e6,
        slower=quality["int8 bitsandbytes"]["times_as_fast"],
    )
    return [sentence]


def summary(words: Words) -> list[str]:
    """Make the short table: seven results beside the original."""
    sizes, budget = _result("sizes"), _result("budget")
    quality = _result("quality")["results"]
    calibrated = _result("calibrated")["results"]
    serving = _result("serving")["results"]
    before = sizes["nbytes_before"]

    def row(name: str, nbytes: int | None, drop: str, times_as_fast: float | None = None) -> str:
        size, faster = ["", ""], ""
        if nbytes is not None:
            size = [_megabytes(nbytes), _percent(nbytes / before)]
        if times_as_fast is not None:
            faster = f"{times_as_fast:.1f}"
        return _row([words[name], *size, drop, faster])

    lines = [
        _row([words[name] for name in ("result", "size", "share", "drop", "faster")]),
        _rule(5),
        row("original", before, "", 1.0),
    ]
    # bitsandbytes' own file was not timed, but the preset's runs the same kernels.
    speed = quality["int8 bitsandbytes"]["times_as_fast"]
    other = calibrated["bitsandbytes int8"]
    lines.append(row("bitsandbytes", other["nbytes"], _drop_of(other), speed))
    rounded = quality["int8 packed"]
    drop = _drop(rounded["drop"], rounded["interval"])
    lines.append(row("int8", sizes["nbytes"]["int8 packed"], drop, rounded["times_as_fast"]))
    small = calibrated["small, noise 0.002"]
    lines.append(row("small", small["nbytes"], _drop_of(small)))
    check = budget["check"]
    lines.append(row("budget", check["nbytes"], _drop(check["drop"], budget["check_interval"])))
    mended = _result("healing")["results"][HEALED]
    lines.append(row("healed", mended["nbytes"], _drop_of(mended)))
    exported = serving["openvino int8"]
    lines.append(row("openvino", exported["nbytes"], _drop_of(exported), exported["times_as_fast"]))
    fastest = _result("shrink")["results"][SHRUNK]
    lines.append(row("shrunk", None, _drop_of(fastest), fastest["times_pytorch"]))
    return lines


def presets(words: Words) -> list[str]:
    """Make the table of presets that need no texts: bytes, accuracy, time."""
    sizes, quality = _result("sizes"), _result("quality")
    titles = [words[name] for name in ("result", "size", "share", "accuracy", "drop", "faster")]
    titles[3] = titles[3].format(texts=quality["texts"])
    accuracy = quality["results"]["int8 packed"]["accuracy"][0]
    original = [
        words["original"],
        _megabytes(sizes["nbytes_before"]),
        "100 %",
        score(accuracy, is_share=True),
    ]
    lines = [_row(titles), _rule(6), _row([*original, "", ""])]
    for name, nbytes in sizes["nbytes"].items():
        preset, form = name.split()
        judged = quality["results"][name]
        cells = [
            f"`{preset}`, {form}",
            _megabytes(nbytes),
            _percent(sizes["share"][name]),
            score(judged["accuracy"][1], is_share=True),
            _drop(judged["drop"], judged["interval"]),
            f"{judged['times_as_fast']:.2f}",
        ]
        lines.append(_row(cells))
    return lines


def calibrated(words: Words) -> list[str]:
    """Make the table of calibrated results beside others, the largest file first."""
    names = ("result", "size", "share", "drop", "f1_drop", "same", "divergence")
    lines = [_row([words[name] for name in names]), _rule(len(names))]
    results: dict[str, Any] = _result("calibrated")["results"] | _result("vocabulary")["results"]
    for name in sorted(results, key=lambda name: -results[name]["nbytes"]):
        judged = results[name]
        cells = [
            name,
            _megabytes(judged["nbytes"]),
            _percent(judged["share"]),
            _drop_of(judged),
            _points(-judged["macro_f1_change"]),
            score(judged["same answer"], is_share=True),
            f"{judged['mean divergence (KL, nats)']:.4f}",
        ]
        lines.append(_row(cells))
    return lines


def techniques(words: Words) -> list[str]:
    """Make the table of what each classic technique saves in each format."""
    forms = ("plain", "bitsandbytes", "packed")
    saved = _result("sizes")["techniques"]
    lines = [_row([words["technique"], *forms]), _rule(4)]
    for technique in ("pruning", "thresholding", "quantization"):
        cells = [words[technique]]
        for form in forms:
            gain = saved[form]["gain_in_points_of_the_original"].get(technique)
            cells.append("" if gain is None else f"{gain:.1f}")
        lines.append(_row(cells))
    return lines


def speeds(words: Words) -> list[str]:
    """Make the table of a large model's times in every runtime."""
    sizes = _result("inference")["sizes"]
    lines = [_row([words["batch"], *sizes]).replace(" x ", " × "), _rule(1 + len(sizes))]
    names = list(next(iter(sizes.values())))
    for name in names:
        if name == "PyTorch fp32":  # what all are compared with
            continue
        cells = [f"{timings[name]['times_as_fast']:.1f}" for timings in sizes.values()]
        lines.append(_row([name, *cells]))
    return lines


def served(words: Words) -> list[str]:
    """Make the table of a real model served: its times and its answers."""
    lines = [_row([words[name] for name in ("result", "faster", "drop", "f1_drop", "same")]), _rule(5)]
    results = dict(_result("serving")["results"])
    results.pop("PyTorch float32, as it is")
    for name, judged in results.items():
        cells = [
            name,
            f"{judged['times_as_fast']:.1f}",
            _drop_of(judged),
            _points(-judged["macro_f1_change"]),
            score(judged["same_answer"], is_share=True),
        ]
        lines.append(_row(cells))
    return lines


def costs(words: Words) -> list[str]:
    """Say what the jobs themselves take."""
    pressing = _result("calibrated_speed")
    trimming = _result("vocabulary")["base"]
    speed = _result("speed")
    base, large = speed["base"], speed["large"]["8 GB"]
    coding = _result("coding")["pruned"]["0.3"]
    budget, report = _result("budget"), _result("report")
    starts = _result("cold_start")["prensa serve"]
    share = 100 * budget["winner"]["nbytes"] / _result("calibrated")["nbytes_before"]
    seconds = base["compress_seconds"]["median"]
    return [
        words["costs"],
        _rule(3),
        words["pressing"].format(
            texts=pressing["texts"], minutes=pressing["seconds"] / 60, peak=pressing["peak_over_model"]
        ),
        words["trimming"].format(
            pieces=trimming["pieces"], seconds=trimming["seconds"], peak=trimming["peak_mib"] / 1024
        ),
        words["speed"].format(seconds=seconds, peak=base["peak"]["peak_bytes"] / 2**30),
        words["large"].format(seconds=large["seconds"], peak=large["peak_bytes"] / 2**30),
        "",
        words["saving"].format(ratio=base["ratio_of_medians"], synced=base["ratio_of_medians_both_synced"]),
        words["coding"].format(
            over=coding["over_entropy"], speed=coding["weights_per_second"] / 1e9, copy=coding["times_memcpy"]
        ),
        words["search"].format(evaluations=budget["evaluations"], share=share),
        words["evaluation"].format(ratio=_result("evaluation")["ratio_of_medians"]),
        words["report"].format(
            layers=report["layers"],
            megabytes=report["nbytes"] / 1e6,
            painted=report["first_contentful_paint_seconds"]["median"],
        ),
        words["start"].format(
            clock=starts["export"]["median"],
            processor=starts["export"]["processor"]["median"],
            torch=starts["PyTorch"]["median"],
        ),
    ]


def shrunk(words: Words, measured: str = "shrink") -> list[str]:
    """Make the table of models that were made smaller in structure, each as an export in 8 bits."""
    columns = ("result", "timed", "predict", "pytorch", "drop", "same")
    lines = [_row([words[name] for name in columns]), _rule(len(columns))]
    results = dict(_result(measured)["results"])
    for name, judged in results.items():
        # Preparation is a row, too, and with the original in PyTorch all are compared.
        if "same_answer" not in judged or name.startswith("PyTorch"):
            continue
        cells = [
            name,
            f"{judged.get('measured', 1.0):.2f}",
            f"{judged['times_openvino_int8']:.2f}",
            f"{judged['times_pytorch']:.1f}",
            _drop_of(judged),
            score(judged["same_answer"], is_share=True),
        ]
        lines.append(_row(cells))
    return lines


def others(words: Words) -> list[str]:
    """Make the table of other models that were made smaller in structure, each by its own measures."""
    columns = ("model", "faster", "layers", "quality")
    lines = [_row([words[name] for name in columns]), _rule(len(columns), ends_in_words=True)]
    for model, results in _result("shrink_others")["results"].items():
        for judged in results.values():
            # The first is the original in half precision; one that was not reached has no measures.
            if "measured" not in judged:
                continue
            measures = []
            if "perplexity" in judged:
                found = judged["perplexity"]
                measures.append(f"perplexity {found['original']:.2f} → {found['result']:.2f}")
            for name in ("same most likely token", "mean cosine", "ten nearest that stay"):
                if name in judged:
                    found = judged[name]
                    measures.append(f"{name} {score(found['value'], is_share=found['is_share'])}")
            cells = [model, f"{judged['measured']:.2f}", str(len(judged["layers"])), ", ".join(measures)]
            lines.append(_row(cells))
    return lines


def healing(words: Words) -> list[str]:
    """Make the table of results before and after healing."""
    columns = ("result", "size", "share", "drop", "same", "divergence")
    lines = [_row([words[name] for name in columns]), _rule(len(columns))]
    for name, judged in _result("healing")["results"].items():
        label = name
        if "heal" in judged:
            label = f"{name}, {judged['heal']['seconds'] / 60:.0f} minutes"
        lines.append(_row([label, *_kept(judged), f"{judged['mean divergence (KL, nats)']:.4f}"]))
    return lines


def smallest(words: Words) -> list[str]:
    """Make the table of the smallest files within a point, by several ways at once."""
    columns = ("way", "size", "share", "drop", "same", "faster", "minutes")
    lines = [_row([words[name] for name in columns]), _rule(len(columns))]
    for way, judged in _result("smallest")["results"].items():
        if not judged["held"]:
            continue
        faster = f"{judged.get('measured', 1.0):.2f}"
        lines.append(_row([way, *_kept(judged), faster, f"{judged['seconds'] / 60:.0f}"]))
    return lines


def _kept(judged: dict[str, Any]) -> list[str]:
    """Return a result's size, its share of the original, its drop and its share of the same answers."""
    size, same = _megabytes(judged["nbytes"]), score(judged["same answer"], is_share=True)
    return [size, _percent(judged["share"]), _drop_of(judged), same]


def tasks(words: Words) -> list[str]:
    """Make the table of other tasks than classifying, each judged in its own metric."""
    columns = ("task", "result", "share", "quality")
    parts = _result("tasks")["parts"]
    rows = [*_of_embedders(parts, words), _of_words(parts["words"], words)]
    for name, judged in parts["spans"]["results"].items():
        stay = score(judged["spans_that_stay"], is_share=True)
        rows.append([words["spans"], f"`{name}`", _percent(judged["share"]), words["stay"].format(stay=stay)])
    titles = _row([words[name] for name in columns])
    return [titles, _rule(len(columns), ends_in_words=True), *(_row(row) for row in rows)]


def _of_embedders(parts: dict[str, Any], words: Words) -> list[list[str]]:
    """Word what is left of the texts that are nearest to each other, and of the ranks of right answers."""
    rows = []
    for name, judged in parts["embedder"]["results"].items():
        kept = score(judged["recall@10 of its own neighbours"], is_share=True)
        order = f"{judged['Spearman of its own similarities']:.4f}"
        quality = words["kept"].format(kept=kept, order=order)
        rows.append([words["neighbours"], name, _percent(judged["share"]), quality])
    for name, judged in parts["queries"]["results"].items():
        drop = _drop(judged["ndcg_drop"], judged["interval"])
        quality = words["lost"].format(metric="NDCG@10", drop=drop)
        rows.append([words["queries"], name, _percent(judged["share"]), quality])
    return rows


def _of_words(part: dict[str, Any], words: Words) -> list[str]:
    """Word what a marker of words has lost, and the recalls that it had to keep."""
    judged = part["result"]
    measures = [words["lost"].format(metric="entity F1", drop=_drop(judged["f1_drop"], judged["interval"]))]
    for label in part["min_recall"]:
        before, after = judged["metrics"][f"entity recall: {label}"]
        # What the original has not learnt to find, a result cannot lose.
        if not before:
            continue
        change = f"{score(before, is_share=True)} → {score(after, is_share=True)}"
        measures.append(words["recall"].format(label=label, change=change))
    result = words["within"].format(points=0.5)
    return [words["words"], result, _percent(judged["share"]), ", ".join(measures)]


def layouts(words: Words) -> list[str]:
    """Make the table of what a page downloads: bytes, nearness to PyTorch, times beside the dense graph's."""
    columns = ("result", "file", "share", "shift", "same_of", "node", "python")
    content = _result("layouts")
    titles = [words[name].format(texts=content["texts"]) for name in columns]
    lines = [_row(titles), _rule(len(titles))]
    results: dict[str, Any] = content["results"]
    for name in sorted(results, key=lambda name: -results[name]["nbytes"]):
        sizes, python, node = results[name], results[name]["python"], results[name].get("node")
        cells = [
            name.replace("-", ", ", 1).replace("-", " ").replace("prensa", "Prensa"),
            _megabytes(sizes["nbytes"]),
            _percent(sizes["share_of_the_original"]),
            f"{python['largest_shift']:.3f}",
            str(python["same_answers"]),
            f"{node['times_as_fast']:.1f}" if node else "",
            f"{python['times_as_fast']:.1f}",
        ]
        lines.append(_row(cells))
    return lines


def servers(words: Words) -> list[str]:
    """Say what servers and long runs give: beside other servers, under load, and in memory."""
    peers = _result("server_peers")
    columns = ("texts_a_second", "of_server", "p50", "p99")
    titles = [words["server"].format(clients=peers["clients"]), *(words[name] for name in columns)]
    lines = [_row(titles), _rule(len(titles))]
    for name, found in peers["load"].items():
        share = 1 / found["prensa_serve_is_times_as_fast"]
        cells = [
            f"{found['texts_a_second']:.0f}",
            f"{share:.2f}",
            f"{found['p50']:.2f}",
            f"{found['p99']:.2f}",
        ]
        lines.append(_row([name, *cells]))
    return [*lines, "", *_of_servers(words)]


def _of_servers(words: Words) -> list[str]:
    own = _result("server")["load"]
    clients = 64
    many = own[f"prensa serve, {clients} clients"]
    naive = own[f"one request, one call, {clients} clients"]
    scale, cascade = _result("scale"), _result("cascade")
    return [
        words["share_of_predict"].format(
            clients=clients,
            share=many["share_of_predict"],
            naive=many["texts_a_second"] / naive["texts_a_second"],
        ),
        words["many"].format(
            count=scale["comments"],
            few=scale["predict_few"]["comments"],
            peak=scale["peak_beyond_few_mb"],
            rate=scale["rate_of_in_memory"],
        ),
        words["cascade"].format(
            passed=cascade["passed_on"],
            same=cascade["cascade_same_answers"],
            texts=cascade["texts"],
            faster=cascade["cascade_times_as_fast"],
        ),
        _load(words),
    ]


def _load(words: Words) -> str:
    load = _result("load")
    # Whoever waits for an answer, quickly or slowly.
    outcomes = [load["outcomes"][kind] for kind in ("a text", "slow")]
    answered = sum(found.get("200", 0) for found in outcomes)
    refused = sum(found.get(status, 0) for found in outcomes for status in ("429", "504"))
    return words["load"].format(
        minutes=load["minutes"],
        answered=answered,
        refused=refused,
        lost=load["texts_without_either"],
        growth=load["memory"]["growth_in_the_second_half"],
    )


BLOCKS: dict[str, Callable[[Words], list[str]]] = {
    "headline": headline,
    "summary": summary,
    "presets": presets,
    "calibrated": calibrated,
    "techniques": techniques,
    "speeds": speeds,
    "served": served,
    "shrunk": shrunk,
    "shrunk-vnni": partial(shrunk, measured="shrink_vnni"),
    "shrunk-avx2": partial(shrunk, measured="shrink_avx2"),
    "shrunk-others": others,
    "healing": healing,
    "smallest": smallest,
    "tasks": tasks,
    "layouts": layouts,
    "servers": servers,
    "costs": costs,
}


def _drop_of(judged: dict[str, Any]) -> str:
    """Word a change of accuracy (result minus original) as a drop, sign and interval reversed."""
    low, high = judged["accuracy_change_interval"]
    return _drop(-judged["accuracy_change"], (-high, -low))


def _drop(drop: float, interval: Sequence[float]) -> str:
    low, high = interval
    return f"{_points(drop)} ({_points(low)} … {_points(high)})"


def _points(share: float) -> str:
    return number(100 * share)


def _megabytes(nbytes: float) -> str:
    return f"{nbytes / 1e6:.1f} MB"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int, *, ends_in_words: bool = False) -> str:
    """Numbers stand to the right; the first column, and a last one of words, to the left."""
    if ends_in_words:
        return "|---|" + "--:|" * (columns - 2) + "---|"
    return "|---|" + "--:|" * (columns - 1)


def _result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
