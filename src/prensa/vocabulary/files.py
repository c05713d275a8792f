"""The files of a model directory that list tokens or name them by number, rewritten."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.errors import ModelError, TokenizerError, first_line
from prensa.extras import require
from prensa.files.temporary import temporary_directory
from prensa.vocabulary import ids
from prensa.vocabulary.content import FILE, Content, Json, Model, tokens_of, vocab_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

_CONFIG = "tokenizer_config.json"
_ADDED = "added_tokens.json"
_GENERATION = "generation_config.json"
_SENTENCEPIECE = (".model",)
# The type of a token in SentencePiece's files that is neither a mark nor a byte.
_PLAIN = 1


def tokenizer_files(
    path: Path, tokenizer: PreTrainedTokenizerBase, content: Content, new: Mapping[int, int]
) -> dict[str, bytes]:
    """Return the tokenizer's files by name. ``content`` is what ``tokenizer.json`` becomes.

    Beside it those are rewritten that ``path`` has. If it has a SentencePiece file alone, ``tokenizer``
    says what its marks are. Raises :class:`TokenizerError` for one that is damaged.
    """
    # All of them say the same, and transformers takes now one and now the other.
    files = {FILE: _json(content)}
    if isinstance(content["model"]["vocab"], Mapping):
        files |= _vocabulary_files(path, content["model"])
    for name in (_CONFIG, _ADDED, _GENERATION):
        file = path / name
        if file.is_file():
            changed = _renumbered(name, _read(file), new)
            files[name] = _json(changed)
    # transformers needs to know its class, which a directory with a SentencePiece file alone does not say.
    if _CONFIG not in files:
        config = _saved_config(tokenizer)
        files[_CONFIG] = _json(_renumbered(_CONFIG, config, new))
    kept = set(tokens_of(content).values())
    for file in path.iterdir():
        if file.suffix in _SENTENCEPIECE:
            files[file.name] = _sentencepiece(file, kept)
    return files


def new_config(
    content: Mapping[str, object], config: PretrainedConfig, new: Mapping[int, int]
) -> dict[str, object]:
    """Return ``config.json`` with the new number of rows and of every token that it names.

    ``config`` is what ``transformers`` reads from it: a number that only the class knew is written out
    if it changes.
    """
    assumed: dict[str, object] = {}
    for name, value in config.to_dict().items():
        if name not in content:
            assumed[name] = value
    # Nothing else is written out: what a class assumes may change with its version.
    changed: dict[str, object] = {}
    for name, value in ids.renamed(assumed, new).items():
        if value != assumed[name]:
            changed[name] = value
    rows = {_key(config): len(new)}
    return {**ids.renamed(content, new), **changed, **rows}


def rows_of(config: PretrainedConfig) -> int:
    """Return how many rows a model has for tokens. Raises :class:`ModelError` if it does not say."""
    rows = getattr(config, _key(config), None)
    if not isinstance(rows, int):
        raise ModelError(
            f"config.json: {type(config).__name__} does not say vocab_size at its top; such a model "
            "cannot be trimmed"
        )
    return rows


def named_tokens(path: Path, config: PretrainedConfig) -> set[int]:
    """Return the numbers of all tokens that the config, or the one for generation, names."""
    # With what the class assumes: a model may need a token that its file does not name.
    numbers = ids.named(config.to_dict())
    file = path / _GENERATION
    if file.is_file():
        numbers |= ids.named(_read(file))
    return numbers


def _key(config: PretrainedConfig) -> str:
    """Return what a class calls its number of rows."""
    # Some classes have another name for it, and map the usual one to that.
    names = getattr(config, "attribute_map", {})
    return str(names.get("vocab_size", "vocab_size"))


def _vocabulary_files(path: Path, model: Model) -> dict[str, bytes]:
    """Return the files of WordPiece and BPE vocabularies that a directory has beside ``tokenizer.json``."""
    files: dict[str, bytes] = {}
    by_number = sorted(vocab_of(model).items(), key=itemgetter(1))
    # In vocab.txt the line is the number.
    if (path / "vocab.txt").is_file():
        lines = [token + "\n" for token, _ in by_number]
        files["vocab.txt"] = "".join(lines).encode()
    if (path / "vocab.json").is_file():
        files["vocab.json"] = _json(dict(by_number))
    if (path / "merges.txt").is_file() and "merges" in model:
        files["merges.txt"] = _merges(model).encode()
    return files


def _merges(model: Model) -> str:
    """Return the lines of ``merges.txt``, below the version that transformers skips."""
    lines = ["#version: 0.2"]
    for merge in model["merges"]:
        if isinstance(merge, str):
            lines.append(merge)
        else:
            lines.append(" ".join(merge))
    return "\n".join(lines) + "\n"


def _renumbered(name: str, content: Json, new: Mapping[int, int]) -> dict[str, object]:
    if name == _ADDED:
        numbers: dict[str, object] = {}
        for token, number in content.items():
            if number in new:
                numbers[token] = new[number]
        return numbers
    changed = ids.renamed(content, new)
    tokens = content.get("added_tokens_decoder")
    if isinstance(tokens, Mapping):
        # Numbers are names here, and names are strings in JSON.
        decoder: dict[str, object] = {}
        for number, token in tokens.items():
            if int(number) in new:
                decoder[str(new[int(number)])] = token
        changed["added_tokens_decoder"] = decoder
    return changed


def _saved_config(tokenizer: PreTrainedTokenizerBase) -> Json:
    with temporary_directory() as place:
        tokenizer.save_pretrained(place)
        return _read(place / _CONFIG)


def _sentencepiece(path: Path, kept: Collection[str]) -> bytes:
    """Return a SentencePiece model without the tokens that go; its marks and bytes stay."""
    require("trim", f"trimming {path}, a SentencePiece model,")
    from transformers.convert_slow_tokenizer import import_protobuf

    try:
        model = import_protobuf().ModelProto.FromString(path.read_bytes())
    except Exception as error:
        raise TokenizerError(f"{path}: not a SentencePiece model ({first_line(error)})") from error
    # A "piece" is what SentencePiece calls a token.
    pieces = [piece for piece in model.pieces if piece.type != _PLAIN or piece.piece in kept]
    # A list of protobuf can be emptied and filled, and not replaced.
    del model.pieces[:]
    model.pieces.extend(pieces)
    if model.trainer_spec.HasField("vocab_size"):
        model.trainer_spec.vocab_size = len(pieces)
    data: bytes = model.SerializeToString()
    return data


def _read(path: Path) -> Json:
    try:
        text = path.read_text(encoding="utf-8")
        content: Json = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(f"{path}: not readable as JSON ({error})") from error
    return content


def _json(content: Mapping[str, object]) -> bytes:
    # As tokenizers writes it: tokens readable, and the same bytes every time.
    text = json.dumps(content, ensure_ascii=False, indent=2)
    return (text + "\n").encode()
