"""The model card, ``README.md`` beside the weights: metadata for the hub, what was done, how to load it.

What Prensa writes stands between marks, so that numbers can be put in later and the rest of the card stays
the user's. The text of the original's card follows below.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.healed import healed_in_words
from prensa.checkpoint.hub_names import model_name
from prensa.checkpoint.manifest import Manifest, by_role
from prensa.checkpoint.roles import load_config, model_class
from prensa.checkpoint.sentence_transformers import read_chain, root_of
from prensa.checkpoint.shrunk import markdown
from prensa.checkpoint.task import pipeline_tag
from prensa.files.atomic import write_text
from prensa.wording import as_markdown, megabytes, percent

CARD_FILE = "README.md"

_OURS = ("<!-- prensa -->", "<!-- /prensa -->")
_EVALUATION = ("<!-- prensa:evaluation -->", "<!-- /prensa:evaluation -->")
_SMOKE_TEST = "<!-- prensa:smoke-test -->"
_NOT_EVALUATED = (
    "Not measured yet. `prensa evaluate ORIGINAL RESULT --data your-texts.csv` compares this model with its "
    "original and writes the answer here."
)
SENTENCES = "sentence-transformers"
# What each class of that library is for, in the hub's words.
_SENTENCE_TAGS = {
    "SentenceTransformer": "sentence-similarity",
    "CrossEncoder": "text-ranking",
    "SparseEncoder": "feature-extraction",
    "MultiVectorEncoder": "sentence-similarity",
}
# Entries of a cross-encoder's config.
_CROSS_ENCODER = ("sentence_transformers", "sbert_ce_default_activation_function")
# What the original's card says of the original's numbers, and how the hub runs it.
_NOT_OF_THE_RESULT = ("model-index", "inference", "widget")


def write_card(directory: Path, original: Path, manifest: Manifest, recipe: str, imports: str = "") -> None:
    """Write the card of a result into ``directory``, from what was done and the card of the original.

    ``imports`` are the lines that a program needs before it can load the result.
    """
    of_original, text = _read_card(root_of(original))
    metadata = {key: value for key, value in of_original.items() if key not in _NOT_OF_THE_RESULT}
    kind, tag = _class_and_tag(original)
    sentences = library_class(original, metadata)
    metadata["library_name"] = SENTENCES if sentences else "transformers"
    name = model_name(original)
    # What a local model was made from says more than the name of its directory.
    is_on_hub = "/" in name
    if is_on_hub or "base_model" not in metadata:
        metadata["base_model"] = name
        metadata["base_model_relation"] = "quantized"

    # The hub's tag may say more than the class does: retrieval, paraphrases.
    if sentences:
        metadata.setdefault("pipeline_tag", _SENTENCE_TAGS[sentences])
    elif tag:
        metadata["pipeline_tag"] = tag
    tags = [*_as_list(metadata.get("tags")), "prensa"]
    metadata["tags"] = list(dict.fromkeys(tags))

    structure = ""
    if manifest.shrink is not None:
        structure = f"\n## Structure\n\n{markdown(manifest.shrink, needs_prensa=bool(imports))}\n"
    if manifest.heal is not None:
        structure += f"\n## Healing\n\n{as_markdown(healed_in_words(manifest.heal, manifest.nbytes))}\n"
    ours = _body(name, manifest, recipe, imports + _loading(sentences, kind), structure)
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

    Without such a card, or such a place in it, it is somebody else's and stays as it is. A smoke test only
    replaces another smoke test. Raises :class:`~prensa.errors.OutputError` if the card cannot be written.
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
    if is_smoke_test:
        if _SMOKE_TEST not in earlier and _NOT_EVALUATED not in earlier:
            return
        text = f"{_SMOKE_TEST}\n{text}"
    write_text(path, f"{before}{start}\n{text}\n{stop}{after}")


def library_class(model: Path, metadata: Mapping[str, object]) -> str:
    """Return the class of Sentence Transformers that loads a model, empty for one of another library.

    A cross-encoder without ``modules.json`` is known by its config or the ``metadata`` of its card.
    """
    if allowed().unchecked:
        return ""
    chain = read_chain(model)
    if chain is None:
        return _cross_encoder(model, metadata)
    kind = str(chain.settings.get("model_type", "SentenceTransformer"))
    if kind not in _SENTENCE_TAGS:
        return ""
    # The files of a Sentence Transformer may lie beside a classifier that was trained from it.
    if kind == "SentenceTransformer":
        gives_vectors = chain.is_dense and pipeline_tag(load_config(model)) == "feature-extraction"
        if not gives_vectors:
            return ""
    return kind


def _cross_encoder(model: Path, metadata: Mapping[str, object]) -> str:
    config = load_config(model)
    is_named = metadata.get("library_name") == SENTENCES
    has_entry = any(hasattr(config, key) for key in _CROSS_ENCODER)
    if not is_named and not has_entry:
        return ""
    if pipeline_tag(config) != "text-classification":
        return ""
    return "CrossEncoder"


def _loading(sentences: str, kind: str) -> str:
    if sentences:
        return f'from sentence_transformers import {sentences}\nmodel = {sentences}("path/to/this/model")'
    trust = ""
    if allowed().unchecked or allowed().remote_code:
        trust = ", trust_remote_code=True"
    return f'from transformers import {kind}\nmodel = {kind}.from_pretrained("path/to/this/model"{trust})'


def _body(name: str, manifest: Manifest, recipe: str, loading: str, structure: str) -> str:
    notes = ""
    if manifest.notes:
        lines = "".join(f"- {note}\n" for note in manifest.notes)
        notes = f"\n## What to know\n\n{lines}"
    again = "the same bytes again"
    if manifest.shrink is not None:
        # Widths follow from times, and no clock shows the same ones twice.
        again = "widths like these again, and the same bytes where it measures the same times"
    elif manifest.heal is not None:
        again = "the same integers again, and the same bytes where `heal` counts steps"
    return f"""# {name}, pressed

Made from `{name}` with Prensa {manifest.prensa_version}. The weights take {megabytes(manifest.nbytes)}, \
{percent(manifest.nbytes, manifest.nbytes_before)} of the original's {megabytes(manifest.nbytes_before)}.

## Load it

```python
{loading}
```
{notes}{structure}
## What it costs

{_EVALUATION[0]}
{_NOT_EVALUATED}
{_EVALUATION[1]}

## What was done

{_kinds(manifest)}

`manifest.json` says what was done to each tensor. The recipe, which gives {again}:

```toml
{recipe.strip()}
```
"""


def _kinds(manifest: Manifest) -> str:
    lines = ["| kind of tensor | tensors | before | after | bits per weight |", "|---|--:|--:|--:|--:|"]
    for role, tensors in by_role(manifest.tensors).items():
        before = sum(tensor.nbytes_before for tensor in tensors)
        after = sum(tensor.nbytes for tensor in tensors)
        # The weights of a tied tensor are counted where they are stored.
        weights = sum(tensor.numel for tensor in tensors if tensor.codec != "tied")
        bits = "–"
        if weights:
            bits = f"{8 * after / weights:.2f}"
        lines.append(f"| {role} | {len(tensors)} | {megabytes(before)} | {megabytes(after)} | {bits} |")
    return "\n".join(lines)


def _read_card(model: Path) -> tuple[dict[str, object], str]:
    """Return the metadata and the text of a card, without what an earlier pressing wrote."""
    from huggingface_hub import RepoCard

    try:
        content = (model / CARD_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}, ""
    try:
        card = RepoCard(content)
    except Exception:  # noqa: BLE001
        # A header that was written by hand can be anything; the text is kept.
        return {}, content
    text = card.text
    before, start, rest = text.partition(_OURS[0])
    _, stop, after = rest.partition(_OURS[1])
    if start and stop:
        text = f"{before.strip()}\n{after.strip()}"
    text = text.strip()
    if text:
        text = f"\n{text}\n"
    metadata: dict[str, object] = card.data.to_dict()  # type: ignore[no-untyped-call]
    return metadata, text


def _to_yaml(metadata: Mapping[str, object]) -> str:
    from huggingface_hub import CardData

    data = CardData(**metadata)  # type: ignore[arg-type]
    return data.to_yaml().strip()


def _as_list(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, (list, tuple)):
        return list(value)
    return []
