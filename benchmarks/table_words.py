"""The words of the documents' tables and sentences, in English and in Spanish."""

from __future__ import annotations

Words = dict[str, str]

ENGLISH: Words = {
    "result": "result",
    "size": "weight file",
    "share": "of the original",
    "accuracy": "accuracy on {texts:,} comments",
    "drop": "accuracy drop, points (95 % interval)",
    "f1_drop": "macro F1 drop, points",
    "same": "same answer",
    "divergence": "KL, nats",
    "faster": "times as fast",
    "original": "original, float32",
    "bitsandbytes": "bitsandbytes int8",
    "int8": "`int8`: rounded, no texts",
    "small": "`small`: calibrated",
    "budget": "`small` within 1 point ¹",
    "healed": "`small`, healed for 10 minutes",
    "openvino": "original in OpenVINO, int8 ²",
    "shrunk": "shrunk 6×, distilled, in OpenVINO, int8 ²",
    "timed": "model, times its export",
    "predict": "`predict`, times the export",
    "pytorch": "`predict`, times PyTorch",
    "file": "ONNX file",
    "shift": "largest shift of a probability",
    "same_of": "same answers of {texts}",
    "node": "times as fast, Node",
    "python": "times as fast, Python",
    "task": "task",
    "neighbours": "embedder: texts nearest to each",
    "queries": "embedder: passages to queries",
    "words": "words marked",
    "spans": "spans marked, GLiNER's classes",
    "kept": "{kept} of the ten nearest stay, Spearman {order}",
    "lost": "{metric} drop {drop}",
    "recall": "recall of {label} {change}",
    "within": "`small` within {points} points",
    "stay": "{stay} stay",
    "model": "model",
    "layers": "layers",
    "quality": "beside its original",
    "way": "within 1 point",
    "minutes": "minutes of search",
    "technique": "what a technique saves, in points of the original's size",
    "pruning": "pruning 30 %",
    "thresholding": "thresholding 0.001",
    "quantization": "8 bits instead of 16",
    "batch": "batch × tokens",
    "headline": "A DeBERTa classifier with 22.7 million parameters, on two cores of a CPU ({processor}): "
    "**{before:.1f} MB → {after:.1f} MB ({share:.1f} %)** within a budget of one accuracy point "
    "(measured drop {drop} points, 95 % interval {low} to {high}), or **{faster:.1f} times as fast** "
    "when exported to OpenVINO int8, or **{shrunk:.1f} times** when shrunk first ({shrunk_drop} points). "
    "bitsandbytes int8: {other:.1f} MB, {slower:.1f} times as fast.",
    "pressing": "| calibrated compression of DeBERTa-v3-base's size, {texts} texts of 128 tokens | "
    "{minutes:.1f} minutes | {peak:.2f} times the float32 model |",
    "trimming": "| trimming the same from 128,100 to {pieces:,} tokens | {seconds:.0f} s | {peak:.2f} GiB |",
    "speed": "| compressing 738 MB with `classic` | {seconds:.1f} s | {peak:.2f} GiB |",
    "large": "| compressing 8 GB in four shards with `classic` | {seconds:.0f} s | {peak:.2f} GiB |",
    "costs": "| job | time | peak memory |",
    "saving": "- `classic` on 738 MB takes {ratio:.1f} times as long as `from_pretrained` and "
    "`save_pretrained`, and {synced:.1f} times when both are timed until the data is on disk "
    "(medians).",
    "coding": "- The packed file is {over:.1%} larger than the entropy of its integers. One core decodes "
    "{speed:.1f} billion weights a second, which takes {copy:.0f} times as long as a memory copy.",
    "search": "- The search for `--max-drop 1%` took {evaluations} evaluations and found a file of "
    "{share:.1f} % of the original. No larger noise on a fine grid keeps that budget.",
    "evaluation": "- Evaluating with all metrics and intervals takes {ratio:.2f} times as long as a "
    "hand-written loop over the same texts.",
    "report": "- The report of a {layers}-layer model takes {megabytes:.2f} MB and is on the screen after "
    "{painted:.2f} s.",
    "server": "server, {clients} clients at a time",
    "texts_a_second": "texts a second",
    "of_server": "times `prensa serve`",
    "p50": "p50, s",
    "p99": "p99, s",
    "share_of_predict": "- With {clients} clients `prensa serve` answers {share:.0%} of the texts a "
    "second that `predict` does with the same texts in one call, and {naive:.1f} times as many as a "
    "server that calls the runtime for each request.",
    "many": "- `prensa predict` of {count:,} comments from a file takes {peak:.0f} MB more than of "
    "{few:,}, and answers {rate:.2f} times as many texts a second as `predict` of texts in memory.",
    "load": "- {minutes:.0f} minutes at twice what the server can answer, with slow clients, "
    "half-closed connections, 10 MB bodies, malformed requests and a worker killed: {answered:,} "
    "texts answered, {refused:,} refused (429, 504), {lost} without either; memory grew by "
    "{growth:.1%} in the second half.",
    "cascade": "- A cascade of the classifier shrunk to 6 times the speed and its original passes "
    "{passed:.1%} on, gives the same answer for {same:.1%} of {texts:,} comments, and is {faster:.1f} "
    "times as fast as the original's fastest runtime.",
    "start": "- `prensa serve` with an export in OpenVINO gives its first answer {clock:.1f} s after the "
    "command ({processor:.1f} s of the processor; two cores of an Intel Xeon, family 6, model 207), with the "
    "model in PyTorch after {torch:.1f} s.",
}

SPANISH: Words = {
    "result": "resultado",
    "size": "fichero de pesos",
    "share": "del original",
    "accuracy": "exactitud en {texts:,} comentarios",
    "drop": "caída de exactitud, puntos (intervalo del 95 %)",
    "faster": "veces más rápido",
    "original": "original, float32",
    "bitsandbytes": "bitsandbytes int8",
    "int8": "`int8`: redondeado, sin textos",
    "small": "`small`: calibrado",
    "budget": "`small` dentro de 1 punto ¹",
    "healed": "`small`, curado durante 10 minutos",
    "openvino": "original en OpenVINO, int8 ²",
    "shrunk": "reducido a 6×, destilado, en OpenVINO, int8 ²",
    "technique": "lo que ahorra cada técnica, en puntos del tamaño del original",
    "pruning": "poda del 30 %",
    "thresholding": "umbral de 0.001",
    "quantization": "8 bits en vez de 16",
    "headline": "Un clasificador DeBERTa de 22.7 millones de parámetros, en dos núcleos de CPU "
    "({processor}): **{before:.1f} MB → {after:.1f} MB ({share:.1f} %)** con un punto de exactitud "
    "como límite (caída medida: {drop} puntos, intervalo del 95 %: de {low} a {high}), o **{faster:.1f} "
    "veces más rápido** al exportarlo a OpenVINO int8, o **{shrunk:.1f} veces** si antes se reduce "
    "({shrunk_drop} puntos). bitsandbytes int8: {other:.1f} MB, {slower:.1f} veces.",
}
