"""Put the measured numbers into the READMEs: ``python -m benchmarks.table`` writes what ``results/`` says."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, ROOT
from prensa.wording import number, score

START, END = "<!-- numbers -->\n", "<!-- /numbers -->"
SPEED, SPEED_END = "<!-- speed -->\n", "<!-- /speed -->"
EXAMPLE, EXAMPLE_END = "<!-- example -->\n", "<!-- /example -->"

WORDS = {
    "README.md": {
        "result": "result",
        "size": "weight file",
        "share": "of the original",
        "accuracy": "accuracy on {texts:,} comments",
        "drop": "drop in points (95 % interval)",
        "faster": "times as fast on the processor",
        "original": "original, float32",
        "technique": "what a technique saves, in points of the original",
        "pruning": "pruning 30 %",
        "thresholding": "thresholding 0.001",
        "quantization": "8 bits instead of 16",
        "calibrated": "calibrated, and what others make of it",
        "accuracy_change": "accuracy, points (95 % interval)",
        "f1_change": "macro F1, points",
        "same": "same answer",
        "divergence": "KL, nats",
        "pressing": "Calibrated pressing of DeBERTa-v3-base's size on {texts} texts of 128 pieces takes "
        "{minutes:.1f} minutes on two cores and {peak:.2f} times the memory of the float32 model.",
        "trimming": "Trimming DeBERTa-v3-base's size from 128,100 to {pieces:,} pieces takes {seconds:.0f} s "
        "and {peak:.2f} GiB of memory.",
        "budget": "`--max-drop 1%` took {evaluations} evaluations; no larger noise on a fine grid keeps "
        "that budget, and the file takes {share:.1f} % of the original.",
        "coding": "Coding takes {over:.1%} more than the entropy of the integers and decodes {speed:.1f} "
        "billion weights a second on one core ({copy:.0f} times the time of a memory copy).",
        "speed": "Pressing 738 MB with `classic` takes {seconds:.1f} s and {peak:.2f} GiB of memory: "
        "{ratio:.1f} times as long as `from_pretrained` and `save_pretrained` of the same model, "
        "{synced:.1f} times if those wait for the disk as well (medians). 8 GB in four shards take "
        "{large:.2f} GiB.",
        "evaluation": "Evaluating with all metrics and intervals takes {ratio:.2f} times as long as a loop "
        "written by hand that answers the same texts; the report of a {layers}-layer model weighs "
        "{megabytes:.2f} MB and is on the screen after {painted:.2f} s.",
    },
    "README.es.md": {
        "result": "resultado",
        "size": "fichero de pesos",
        "share": "del original",
        "accuracy": "exactitud en {texts} comentarios",
        "drop": "caída en puntos (intervalo del 95 %)",
        "faster": "veces más rápido en el procesador",
        "original": "original, float32",
        "technique": "lo que ahorra cada técnica, en puntos del original",
        "pruning": "poda del 30 %",
        "thresholding": "umbral de 0,001",
        "quantization": "8 bits en vez de 16",
        "calibrated": "calibrado, y lo que dan otros",
        "accuracy_change": "exactitud, puntos (intervalo del 95 %)",
        "f1_change": "macro F1, puntos",
        "same": "misma respuesta",
        "divergence": "KL, nats",
        "pressing": "Comprimir con calibración un modelo del tamaño de DeBERTa-v3-base con {texts} textos de "
        "128 piezas tarda {minutes:.1f} minutos en dos núcleos y usa {peak:.2f} veces la memoria del modelo "
        "float32.",
        "trimming": "Recortar de 128.100 a {pieces} piezas un modelo del tamaño de DeBERTa-v3-base tarda "
        "{seconds:.0f} s y usa {peak:.2f} GiB de memoria.",
        "budget": "`--max-drop 1%` necesitó {evaluations} evaluaciones; ningún ruido mayor de una malla fina "
        "respeta esa caída, y el fichero ocupa un {share:.1f} % del original.",
        "coding": "La codificación ocupa un {over:.1%} más que la entropía de los enteros, y en un núcleo "
        "se decodifican {speed:.1f} mil millones de pesos por segundo ({copy:.0f} veces lo que tarda una "
        "copia de memoria).",
        "speed": "Comprimir 738 MB con `classic` tarda {seconds:.1f} s y usa {peak:.2f} GiB de memoria: "
        "{ratio:.1f} veces lo que tardan `from_pretrained` y `save_pretrained` del mismo modelo, "
        "{synced:.1f} veces si también esperan al disco (medianas). 8 GB en cuatro partes usan "
        "{large:.2f} GiB.",
        "evaluation": "Evaluar con todas las métricas e intervalos tarda {ratio:.2f} veces lo que un bucle "
        "escrito a mano que responde los mismos textos; el informe de un modelo de {layers} capas ocupa "
        "{megabytes:.2f} MB y está en pantalla a los {painted:.2f} s.",
    },
}


def main() -> None:
    """Rewrite the block of numbers in each README."""
    for name in WORDS:
        path = ROOT / name
        path.write_text(updated(path), encoding="utf-8")


def updated(path: Path) -> str:
    """Return the text of a README with the numbers of the results."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(START)
    text = before + START + block(WORDS[path.name]) + END + rest.split(END)[1]
    for start, end, make in ((EXAMPLE, EXAMPLE_END, _example), (SPEED, SPEED_END, _served)):
        before, found, rest = text.partition(start)
        if found:
            text = before + start + make() + end + rest.split(end)[1]
    return text


def _served() -> str:
    """Make the tables of serving: a large model's times, and a real one's answers and times."""
    sizes = _result("inference")["sizes"]
    names = [name for name in next(iter(sizes.values())) if name != "PyTorch fp32"]
    lines = [
        "Times as fast as PyTorch in float32 at DeBERTa-v3-base's size, batch × tokens, two cores (medians):",
        "",
        _row(["", *sizes]),
        "|---|" + "--:|" * len(sizes),
        *(_row([name, *(f"{each[name]['times_as_fast']:.1f}" for each in sizes.values())]) for name in names),
        "",
        "The classifier of comments, 4,000 texts in batches sorted by length, original in float32 as it is:",
        "",
        _row(["", "times as fast", "accuracy, points (95 % interval)", "macro F1, points", "same answer"]),
        "|---|--:|--:|--:|--:|",
    ]
    for name, found in list(_result("serving")["results"].items())[1:]:
        low, high = (number(100 * end) for end in found["accuracy_change_interval"])
        lines.append(
            _row(
                [
                    name,
                    f"{found['times_as_fast']:.1f}",
                    f"{number(100 * found['accuracy_change'])} ({low} … {high})",
                    number(100 * found["macro_f1_change"]),
                    score(found["same_answer"], is_share=True),
                ]
            )
        )
    return "\n".join(lines) + "\n"


def _example() -> str:
    """Show the command and the verdict that it ends with."""
    verdict = _result("quality")["results"]["int8 packed"]["verdict"].replace(
        "int8 packed", "my-deberta-small"
    )
    command = (
        "$ prensa evaluate my-deberta my-deberta-small --data test.csv --max-drop 1% --report report.html"
    )
    return f"```console\n{command}\n…\n{textwrap.fill(verdict, 110)}\n```\n"


def block(words: dict[str, str]) -> str:
    """Make the tables and sentences in one language."""
    sizes, coding, speed = (_result(name) for name in ("sizes", "coding", "speed"))
    lines = _results(words, sizes, _result("quality"))
    lines += ["", *_calibrated(words)]
    forms = ("plain", "bitsandbytes", "packed")
    lines += ["", f"| {words['technique']} | {' | '.join(forms)} |", "|---|--:|--:|--:|"]
    gains = {form: sizes["techniques"][form]["gain_in_points_of_the_original"] for form in forms}
    for technique in ("pruning", "thresholding", "quantization"):
        cells = (f"{gains[form][technique]:.1f}" if technique in gains[form] else "" for form in forms)
        lines.append(f"| {words[technique]} | {' | '.join(cells)} |")
    degrees = coding["pruned"]["0.3"]
    lines += [
        "",
        words["coding"].format(
            over=degrees["over_entropy"],
            speed=degrees["weights_per_second"] / 1e9,
            copy=degrees["times_memcpy"],
        ),
        words["speed"].format(
            seconds=speed["base"]["compress_seconds"]["median"],
            ratio=speed["base"]["ratio_of_medians"],
            synced=speed["base"]["ratio_of_medians_both_synced"],
            peak=speed["base"]["peak"]["peak_bytes"] / 2**30,
            large=speed["large"]["8 GB"]["peak_bytes"] / 2**30,
        ),
        _pressing(words),
        _trimming(words),
        _budget(words),
        words["evaluation"].format(ratio=_result("evaluation")["ratio_of_medians"], **_opening()),
    ]
    return "\n".join(lines) + "\n"


def _results(words: dict[str, str], sizes: dict[str, Any], quality: dict[str, Any]) -> list[str]:
    """Make the table of presets: bytes, accuracy, time."""
    columns = [words[name] for name in ("result", "size", "share", "accuracy", "drop", "faster")]
    before = next(iter(quality["results"].values()))["accuracy"][0]
    lines = [_row(columns).format(texts=quality["texts"]), "|---|--:|--:|--:|--:|--:|"]
    original = f"{sizes['nbytes_before'] / 1e6:.1f} MB"
    lines.append(_row([words["original"], original, "100 %", score(before, is_share=True), "", ""]))
    for name, nbytes in sizes["nbytes"].items():
        preset, form = name.split()
        found = quality["results"][name]
        low, high = (number(100 * end) for end in found["interval"])
        lines.append(
            _row(
                [
                    f"`{preset}`, {form}",
                    f"{nbytes / 1e6:.1f} MB",
                    f"{100 * sizes['share'][name]:.1f} %",
                    score(found["accuracy"][1], is_share=True),
                    f"{number(100 * found['drop'])} ({low} … {high})",
                    f"{found['times_as_fast']:.2f}",
                ]
            )
        )
    return lines


def _calibrated(words: dict[str, str]) -> list[str]:
    """Make the table of calibrated results beside others, the largest file first."""
    names = ("calibrated", "size", "share", "accuracy_change", "f1_change", "same", "divergence")
    lines = [_row([words[name] for name in names]), "|---|--:|--:|--:|--:|--:|--:|"]
    results = (_result("calibrated")["results"] | _result("vocabulary")["results"]).items()
    for name, found in sorted(results, key=lambda pair: -pair[1]["nbytes"]):
        low, high = (number(100 * end) for end in found["accuracy_change_interval"])
        lines.append(
            _row(
                [
                    name,
                    f"{found['nbytes'] / 1e6:.1f} MB",
                    f"{100 * found['share']:.1f} %",
                    f"{number(100 * found['accuracy_change'])} ({low} … {high})",
                    number(100 * found["macro_f1_change"]),
                    score(found["same answer"], is_share=True),
                    f"{found['mean divergence (KL, nats)']:.4f}",
                ]
            )
        )
    return lines


def _pressing(words: dict[str, str]) -> str:
    pressing = _result("calibrated_speed")
    return words["pressing"].format(
        texts=pressing["texts"],
        minutes=pressing["seconds"] / 60,
        peak=pressing["peak_over_model"],
    )


def _trimming(words: dict[str, str]) -> str:
    base = _result("vocabulary")["base"]
    return words["trimming"].format(
        pieces=base["pieces"], seconds=base["seconds"], peak=base["peak_mib"] / 1024
    )


def _budget(words: dict[str, str]) -> str:
    budget = _result("budget")
    share = 100 * budget["winner"]["nbytes"] / _result("calibrated")["nbytes_before"]
    return words["budget"].format(evaluations=budget["evaluations"], share=share)


def _opening() -> dict[str, float]:
    report = _result("report")
    return {
        "megabytes": report["nbytes"] / 1e6,
        "painted": report["first_contentful_paint_seconds"]["median"],
        "layers": report["layers"],
    }


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
