"""The files of a model directory that list pieces or name them by number, rewritten."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prensa.errors import VocabularyError, first_line
from prensa.extras import require
from prensa.temporary import temporary_directory
from prensa.vocabulary import ids
from prensa.vocabulary.tokenizer import FILE, Content, pieces_of

_SENTENCEPIECE = (".model",)
_PLAIN = 1  # the type of a piece in SentencePiece's files that is neither a mark nor a byte


def tokenizer_files(path: Path, tokenizer: Any, content: Content, new: Mapping[int, int]) -> dict[str, bytes]:
    """Return the tokenizer's files by name. ``content`` is what ``tokenizer.json`` becomes.

    Beside it those are rewritten that ``path`` has. Where it has a SentencePiece file alone, ``tokenizer``
    says what its marks are. Raises :class:`VocabularyError` for one that is damaged.
    """
    files = {FILE: _json(content)}
    model = content["model"]
    if isinstance(model["vocab"], Mapping):
        by_number = sorted(model["vocab"].items(), key=lambda item: item[1])
        if (path / "vocab.txt").is_file():
            files["vocab.txt"] = "".join(f"{piece}\n" for piece, _ in by_number).encode()
        if (path / "vocab.json").is_file():
            files["vocab.json"] = _json(dict(by_number))
        if (path / "merges.txt").is_file() and "merges" in model:
            lines = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
            files["merges.txt"] = "\n".join(["#version: 0.2", *lines, ""]).encode()
    for name in ("tokenizer_config.json", "added_tokens.json", "generation_config.json"):
        if (path / name).is_file():
            files[name] = _json(_renumbered(name, _read(path / name), new))
    if "tokenizer_config.json" not in files:
        files["tokenizer_config.json"] = _json(_renumbered("", _saved_config(tokenizer), new))
    pieces = set(pieces_of(content).values())
    for file in path.iterdir():
        if file.suffix in _SENTENCEPIECE:
            files[file.name] = _sentencepiece(file, pieces)
    return files


def new_config(content: Mapping[str, Any], config: Any, new: Mapping[int, int]) -> dict[str, Any]:
    """Return ``config.json`` with the new number of rows and of every piece that it names.

    ``config`` is what ``transformers`` reads from it: a number that only the class knew is written out
    where it changes.
    """
    assumed = {name: value for name, value in config.to_dict().items() if name not in content}
    changed = {name: value for name, value in ids.renamed(assumed, new).items() if value != assumed[name]}
    return {**ids.renamed(content, new), **changed, _key(config): len(new)}


def rows_of(config: Any) -> int:
    """Return how many rows a model has for pieces. Raises :class:`VocabularyError` where it does not say."""
    found = getattr(config, _key(config), None)
    if not isinstance(found, int):
        raise VocabularyError(
            f"config.json: {type(config).__name__} does not say vocab_size at its top; such a model "
            "cannot be trimmed"
        )
    return found


def _key(config: Any) -> str:
    return str(getattr(config, "attribute_map", {}).get("vocab_size", "vocab_size"))


def named_pieces(path: Path, config: Any) -> set[int]:
    """Return the numbers of all pieces that the config, or the one for generation, names."""
    file = path / "generation_config.json"
    return ids.named(config.to_dict()) | (ids.named(_read(file)) if file.is_file() else set())


def _renumbered(name: str, content: Any, new: Mapping[int, int]) -> Any:
    if name == "added_tokens.json":
        return {piece: new[number] for piece, number in content.items() if number in new}
    changed = ids.renamed(content, new)
    tokens = content.get("added_tokens_decoder")
    if isinstance(tokens, Mapping):
        changed["added_tokens_decoder"] = {
            str(new[int(number)]): token for number, token in tokens.items() if int(number) in new
        }
    return changed


def _saved_config(tokenizer: Any) -> Any:
    with temporary_directory() as place:
        tokenizer.save_pretrained(place)
        return _read(place / "tokenizer_config.json")


def _sentencepiece(path: Path, kept: Iterable[str]) -> bytes:
    """Return a SentencePiece model without the pieces that go; its marks and bytes stay."""
    require("trim", f"trimming {path}, a SentencePiece model,")
    from transformers.convert_slow_tokenizer import import_protobuf

    try:
        model = import_protobuf().ModelProto.FromString(path.read_bytes())
    except Exception as error:
        raise VocabularyError(f"{path}: not a SentencePiece model ({first_line(error)})") from error
    pieces = [piece for piece in model.pieces if piece.type != _PLAIN or piece.piece in kept]
    del model.pieces[:]
    model.pieces.extend(pieces)
    if model.trainer_spec.HasField("vocab_size"):
        model.trainer_spec.vocab_size = len(pieces)
    found: bytes = model.SerializeToString()
    return found


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise VocabularyError(f"{path}: not readable as JSON ({error})") from error


def _json(content: Any) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
