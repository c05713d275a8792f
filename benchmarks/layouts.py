"""What a page or a server downloads of ``toxic-deberta``, what it answers with that, and how fast.

Each precision of ``prensa export --layout transformers.js`` beside what there is without Prensa: the model's
graph in float32, and what ONNX Runtime's ``quantize_dynamic`` makes of it, which is what optimum calls. All
answer the same comments in turns, on one thread: in ONNX Runtime in Python and, where the environment
variable PRENSA_NODE_MODULES names a folder with ``@huggingface/transformers``, in Node.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.quantization import quantize_dynamic
from transformers import PreTrainedTokenizerBase

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import SHARED, save, spread
from prensa.checkpoint.weight_files import weight_files
from prensa.serving import onnxruntime
from prensa.serving.program import trace
from prensa.texts.columns import read_texts
from prensa.texts.source import Source
from prensa.vocabulary.settings import TrimVocabulary

TEXTS, LONGEST = 100, 128
TRAIN = SHARED / "data" / "toxic-comments" / "train.csv"
PRECISIONS = ("fp32", "fp16", "int8", "int4")
# Names that transformers.js takes for those of models.
DENSE, DYNAMIC = "fp32-without-prensa", "quantize_dynamic-without-prensa"

Scores = NDArray[np.float64]
Found = dict[str, dict[str, Any]]
"""What each model answered, ``scores`` [texts, labels], its ``milliseconds``, and those until it was
``ready``."""


def main() -> None:
    """Export, answer in turns, compare."""
    transformers.utils.logging.disable_progress_bar()
    comments = read_texts(Source(COMMENTS, limit=TEXTS), None).texts
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    texts = [shortened(tokenizer, str(text)) for text in comments]
    with tempfile.TemporaryDirectory() as place:
        os.environ["PRENSA_CACHE"] = str(Path(place) / "cache")
        root = Path(place) / "models"
        export_all(root, Path(place) / "trimmed")
        without_prensa(root)
        names = sorted(path.name for path in root.iterdir())
        sizes = {name: bytes_of(root / name) for name in names}
        python = in_python(root, names, texts)
        node = in_node(root, names, texts)
    exact = in_pytorch(tokenizer, texts)
    before = sum((MODEL / name).stat().st_size for name in weight_files(MODEL)[0])
    results: dict[str, Any] = {}
    for name in names:
        results[name] = {**sizes[name], "share_of_the_original": round(sizes[name]["nbytes"] / before, 4)}
        for where, found in (("python", python), ("node", node)):
            if found:
                results[name][where] = compared(found[name], exact, found[DENSE])
    about = {"model": "toxic-deberta", "nbytes_before": before, "texts": TEXTS, "tokens_at_most": LONGEST}
    save("layouts", {**about, "load_average": round(os.getloadavg()[0], 1), "results": results})


def export_all(root: Path, trimmed: Path) -> None:
    """Export the model in each precision, and in the smaller ones without the tokens that no text has."""
    prensa.compress(MODEL, trimmed, preset="half", texts=TRAIN, trim_vocabulary=TrimVocabulary())
    models = {precision: (MODEL, precision) for precision in PRECISIONS}
    models |= {f"{precision}-trimmed": (trimmed, precision) for precision in ("int8", "int4")}
    for name, (model, precision) in models.items():
        few = Source(TRAIN, limit=32)  # what answers are compared on while exporting
        layout = "transformers.js"
        prensa.export(model, root / name, to="onnx", precision=precision, layout=layout, texts=few)
        print(name, flush=True)


def without_prensa(root: Path) -> None:
    """Write the graph of the model as it is, and what ONNX Runtime's quantizer makes of it by itself."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=torch.float32)
    program = trace(model.eval(), {"input_ids": [101, 102], "attention_mask": [1, 1]}, 512)
    for name, like in ((DENSE, "fp32"), (DYNAMIC, "int8")):
        shutil.copytree(root / like, root / name)
    onnxruntime.write(program, root / DENSE, "fp32", [])
    quantize_dynamic(root / DENSE / onnxruntime.FILE, root / DYNAMIC / onnxruntime.FILES["int8"])


def bytes_of(place: Path) -> dict[str, int]:
    """Return the bytes of a model's graph, and of all files that transformers.js loads."""
    files = [path for path in place.rglob("*") if path.is_file() and path.name != "prensa_export.json"]
    graph = onnxruntime.model_file(place).stat().st_size
    return {"nbytes": graph, "nbytes_downloaded": sum(path.stat().st_size for path in files)}


def shortened(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """Cut a text behind so many tokens: Node is given texts."""
    tokens = tokenizer(text, truncation=True, max_length=LONGEST, return_offsets_mapping=True)
    end: int = max(last for _, last in tokens["offset_mapping"])
    return text[:end]


@torch.inference_mode()
def in_pytorch(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Scores:
    """Return PyTorch's scores ``[texts, labels]``."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=torch.float32).eval()
    logits = [model(**tokenizer(text, return_tensors="pt")).logits[0] for text in texts]
    scores: Scores = torch.stack(logits).double().softmax(-1).numpy()
    return scores


def in_python(root: Path, names: Sequence[str], texts: Sequence[str]) -> Found:
    """Have ONNX Runtime answer."""
    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors
    found: Found = {}
    sessions, tokenizers = {}, {}
    for name in names:
        start = time.perf_counter()
        file = onnxruntime.model_file(root / name)
        sessions[name] = InferenceSession(file, options, providers=["CPUExecutionProvider"])
        found[name] = {"ready": 1000 * (time.perf_counter() - start), "scores": [], "milliseconds": []}
        tokenizers[name] = transformers.AutoTokenizer.from_pretrained(root / name)
    for text in texts:
        for name, session in sessions.items():
            start = time.perf_counter()
            tokens = tokenizers[name](text, return_tensors="np")
            inputs = {each.name: tokens[each.name] for each in session.get_inputs()}
            logits = torch.tensor(session.run(None, inputs)[0][0])
            found[name]["milliseconds"].append(1000 * (time.perf_counter() - start))
            found[name]["scores"].append(logits.double().softmax(-1).tolist())
    return found


def in_node(root: Path, names: Sequence[str], texts: Sequence[str]) -> Found:
    """Have transformers.js answer; return nothing where it is not installed."""
    modules, node = os.environ.get("PRENSA_NODE_MODULES"), shutil.which("node")
    if modules is None or node is None:
        return {}
    script = Path(__file__).parent / "layouts.mjs"
    command = [node, str(script), str(Path(modules).absolute()), str(root), *names]
    run = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=False)
    if run.returncode:
        print(run.stderr, flush=True)
        return {}
    found: Found = json.loads(run.stdout.splitlines()[-1])
    labels = transformers.AutoConfig.from_pretrained(MODEL).id2label
    for answered in found.values():
        answered["scores"] = []
        for answer in answered.pop("answers"):
            # A text's labels come with the likeliest first.
            scores = {each["label"]: each["score"] for each in answer}
            answered["scores"].append([scores[labels[number]] for number in sorted(labels)])
    return found


def compared(found: dict[str, Any], exact: Scores, dense: dict[str, Any]) -> dict[str, Any]:
    """Compare a model's scores with PyTorch's, and its times with those of the dense graph."""
    shifts = np.abs(np.array(found["scores"]) - exact).max(axis=1)
    same = np.argmax(found["scores"], axis=1) == exact.argmax(axis=1)
    ratios = np.array(dense["milliseconds"]) / np.array(found["milliseconds"])
    return {
        "largest_shift": round(float(shifts.max()), 4),
        "mean_shift": round(float(shifts.mean()), 5),
        "same_answers": int(same.sum()),
        "milliseconds": spread(found["milliseconds"]),
        # Of each text, as they took turns.
        "times_as_fast": round(float(np.median(ratios)), 2),
        "milliseconds_until_ready": round(found["ready"]),
    }


if __name__ == "__main__":
    main()
