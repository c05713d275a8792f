"""The model card, ``README.md`` beside the weights: metadata for the hub, what was done, how to load it.

What Prensa writes stands between marks, so that numbers can be put in later and the rest of the card stays
the user's. The text of the original's card follows below.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prensa.atomic import write_text
from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.manifest import Manifest
from prensa.checkpoint.roles import load_config, model_class
from prensa.checkpoint.sentence_transformers import read_chain, root_of
from prensa.checkpoint.task import pipeline_tag
from prensa.spec import ROLES
from prensa.wording import megabytes, percent

CARD_FILE = "README.md"

_OURS = ("<!-- prensa -->", "<!-- /prensa -->")
_EVALUATION = ("<!-- prensa:evaluation -->", "<!-- /prensa:evaluation -->")
_SMOKE_TEST = "<!-- prensa:smoke-test -->"
_NOT_EVALUATED = (
    "Not measured yet. `prensa evaluate ORIGINAL RESULT --data your-texts.csv` compares this model with its "
    "original and writes the answer here."
)
_CACHED = re.compile(r"models--(?P<name>[\w.-]+(--[\w.-]+)?)")  # a directory of the hub's cache
SENTENCES = "sentence-transformers"
_SENTENCE_TAGS = {  # what each class of that library is for, in the hub's words
    "SentenceTransformer": "sentence-similarity",
    "CrossEncoder": "text-ranking",
    "SparseEncoder": "feature-extraction",
    "MultiVectorEncoder": "sentence-similarity",
}
_CROSS_ENCODER = ("sentence_transformers", "sbert_ce_default_activation_function")  # entries of its config
_NOT_OF_THE_RESULT = ("model-index", "inference", "widget")


def write_card(directory: Path, original: Path, manifest: Manifest, recipe: str) -> None:
    """Write the card of a result into ``directory``, from what was done and the card of the original."""
    metadata, text = _read_card(root_of(original))
    name = model_name(original)
    kind, tag = _class_and_tag(original)
    metadata = {key: value for key, value in metadata.items() if key not in _NOT_OF_THE_RESULT}
    sentences = library_class(original, metadata)
    metadata["library_name"] = SENTENCES if sentences else "transformers"
    if (
        "/" in name or "base_model" not in metadata
    ):  # what a local model was made from is better than its name
        metadata |= {"base_model": name, "base_model_relation": "quantized"}
    if sentences:
        metadata.setdefault("pipeline_tag", _SENTENCE_TAGS[sentences])
    elif tag:
        metadata["pipeline_tag"] = tag
    metadata["tags"] = list(dict.fromkeys([*_as_list(metadata.get("tags")), "prensa"]))
    ours = _body(name, manifest, recipe, _loading(sentences, kind))
    content = f"---\n{_to_yaml(metadata)}\n---\n{_OURS[0]}\n{ours}\n{_OURS[1]}\n{text}"
    (directory / CARD_FILE).write_text(content, encoding="utf-8")


def _class_and_tag(original: Path) -> tuple[str, str]:
    """Return the class to load a model with, and the hub's name of its task; of an unknown class neither."""
    if allowed().unchecked:
        return "AutoModel", ""
    config = load_config(original)
    return model_class(config).__name__, pipeline_tag(config)


def set_evaluation(directory: Path, text: str, *, is_smoke_test: bool = False) -> None:
    """Put ``text`` in the place that the card of ``directory`` has for it.

    Where there is no such card, or no such place in it, it is somebody else's and stays as it is. A smoke
    test gives way to any other evaluation. Raises :class:`~prensa.errors.OutputError` where the card cannot
    be written.
    """
    path = directory / CARD_FILE
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    before, start, rest = content.partition(_EVALUATION[0])
    earlier, stop, after = rest.partition(_EVALUATION[1])
    if not start or not stop:
        return
    if not is_smoke_test or _SMOKE_TEST in earlier or _NOT_EVALUATED in earlier:
        mark = f"{_SMOKE_TEST}\n" if is_smoke_test else ""
        write_text(path, f"{before}{start}\n{mark}{text}\n{stop}{after}")


def model_name(path: Path) -> str:
    """Return the hub's name of a model in the hub's cache, or the name of its directory."""
    whole = root_of(path.resolve())
    for part in reversed(whole.parts):
        if found := _CACHED.fullmatch(part):
            return found["name"].replace("--", "/")
    return whole.name


def library_class(model: Path, metadata: Mapping[str, Any]) -> str:
    """Return the class of Sentence Transformers that loads a model, empty for one of another library.

    A cross-encoder without ``modules.json`` is known by its config or the ``metadata`` of its card.
    """
    if allowed().unchecked:
        return ""
    chain = read_chain(model)
    if chain is not None:
        kind = str(chain.settings.get("model_type", "SentenceTransformer"))
        is_whole = chain.is_dense and pipeline_tag(load_config(model)) == "feature-extraction"
        return kind if kind in _SENTENCE_TAGS and (is_whole or kind != "SentenceTransformer") else ""
    config = load_config(model)
    is_named = metadata.get("library_name") == SENTENCES
    is_known = is_named or any(hasattr(config, key) for key in _CROSS_ENCODER)
    return "CrossEncoder" if is_known and pipeline_tag(config) == "text-classification" else ""


def _loading(sentences: str, kind: str) -> str:
    if sentences:
        return f'from sentence_transformers import {sentences}\nmodel = {sentences}("path/to/this/model")'
    trust = ", trust_remote_code=True" if allowed().unchecked or allowed().remote_code else ""
    return f'from transformers import {kind}\nmodel = {kind}.from_pretrained("path/to/this/model"{trust})'


def _body(name: str, manifest: Manifest, recipe: str, loading: str) -> str:
    imports = "import prensa  # makes from_pretrained understand the packed format\n"
    needs = imports if manifest.format == "packed" else ""
    known = "".join(f"- {note}\n" for note in manifest.notes)
    notes = f"\n## What to know\n\n{known}" if known else ""
    return f"""# {name}, pressed

Made from `{name}` with Prensa {manifest.prensa_version}. The weights take {megabytes(manifest.nbytes)}, \
{percent(manifest.nbytes, manifest.nbytes_before)} of the original's {megabytes(manifest.nbytes_before)}.

## Load it

```python
{needs}{loading}
```
{notes}
## What it costs

{_EVALUATION[0]}
{_NOT_EVALUATED}
{_EVALUATION[1]}

## What was done

{_kinds(manifest)}

`manifest.json` says what was done to each tensor. The recipe, which gives the same bytes again:

```toml
{recipe.strip()}
```
"""


def _kinds(manifest: Manifest) -> str:
    lines = ["| kind of tensor | tensors | before | after | bits per weight |", "|---|--:|--:|--:|--:|"]
    before, after, weights, count = (Counter[str]() for _ in range(4))
    for tensor in manifest.tensors:
        before[tensor.role] += tensor.nbytes_before
        after[tensor.role] += tensor.nbytes
        weights[tensor.role] += 0 if tensor.codec == "tied" else tensor.numel
        count[tensor.role] += 1
    for role in ROLES:
        if count[role]:
            bits = f"{8 * after[role] / weights[role]:.2f}" if weights[role] else "–"
            sizes = f"{megabytes(before[role])} | {megabytes(after[role])}"
            lines.append(f"| {role} | {count[role]} | {sizes} | {bits} |")
    return "\n".join(lines)


def _read_card(model: Path) -> tuple[dict[str, Any], str]:
    """Return the metadata and the text of a card, without what an earlier pressing wrote."""
    from huggingface_hub import RepoCard

    try:
        content = (model / CARD_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}, ""
    try:
        card = RepoCard(content)
    except Exception:  # noqa: BLE001  whatever a hand-written header can be; its text is kept
        return {}, content
    before, start, rest = card.text.partition(_OURS[0])
    _, stop, after = rest.partition(_OURS[1])
    text = f"{before.strip()}\n{after.strip()}" if start and stop else card.text
    metadata: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    return metadata, f"\n{text.strip()}\n" if text.strip() else ""


def _to_yaml(metadata: Mapping[str, Any]) -> str:
    from huggingface_hub import CardData

    return CardData(**metadata).to_yaml().strip()


def _as_list(value: object) -> list[str]:
    return [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else []
