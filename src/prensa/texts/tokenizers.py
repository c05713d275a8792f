"""A model's tokenizer, and what it and the model allow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers.normalizers import Lowercase
from tokenizers.normalizers import Sequence as Normalizers
from transformers import AutoTokenizer

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.inputs import check_reads_texts
from prensa.checkpoint.roles import load_config, quiet_transformers
from prensa.checkpoint.sentence_transformers import read_chain
from prensa.errors import SettingError, TokenizerError, first_line

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

# A tokenizer that knows no maximum names one that is far above this.
_UNLIMITED = 1 << 20
_VOCABULARIES = {"tokenizer.json", "tokenizer.model"}

# Models that count positions from behind the padding token's id, as fairseq did.
_OFFSET_POSITIONS = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "mpnet", "esm"),
    *("longformer", "data2vec-text", "ibert", "luke", "xmod", "lilt", "markuplm"),
}

# Models that know distances alone: what their config calls positions is the length of training texts.
_RELATIVE_POSITIONS = {"t5", "mt5", "umt5", "longt5"}


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer, able to pad. Raises :class:`TokenizerError` if the model has none.

    What the model's Sentence Transformers files say of texts (length, case, a prompt in front) comes with it:
    whoever reads texts has them from here. Raises :class:`~prensa.errors.ModelError` for a model that reads
    no texts.
    """
    if (path / "config.json").is_file():
        check_reads_texts(path, load_config(path))
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=allowed().remote_code)
    except Exception as error:
        reason = first_line(error)
        raise TokenizerError(
            f"{path}: no usable tokenizer ({reason}); copy the tokenizer's files there, or, for a "
            "SentencePiece model, run pip install 'prensa[evaluate]'"
        ) from error
    # Without a vocabulary file transformers gives a tokenizer that knows its special tokens alone.
    files = set(tokenizer.vocab_files_names.values())
    expected = sorted(files | _VOCABULARIES)
    is_there = any((path / name).is_file() for name in expected)
    if files and not is_there:
        raise TokenizerError(
            f"{path}: no tokenizer, expected one of {', '.join(expected)}; "
            "copy it from the model that this one was made from"
        )
    if tokenizer.pad_token is None:
        # Which one it is does not matter: the attention mask covers it.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token is None:
        raise TokenizerError(f"{path}: the tokenizer names no token to pad with; set pad_token")
    _follow_sentence_transformers(path, tokenizer)
    return tokenizer


def longest(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, wanted: int | None) -> int | None:
    """Return how many tokens the model reads of a text, None if there is no maximum.

    ``wanted`` may be fewer. Raises :class:`SettingError` if it is more, or leaves no room for a text.
    """
    positions = getattr(config, "max_position_embeddings", None)
    # The name that older classes have for it.
    if not positions:
        positions = getattr(config, "n_positions", None)
    if config.model_type in _RELATIVE_POSITIONS and tokenizer.model_max_length < _UNLIMITED:
        positions = None
    if positions and config.model_type in _OFFSET_POSITIONS:
        positions -= config.pad_token_id + 1
    limit: int | None = None
    for size in (tokenizer.model_max_length, positions):
        if not size or not 0 < size < _UNLIMITED:
            continue
        # The smaller of the two counts.
        if limit is None or size < limit:
            limit = size
    if wanted is None:
        return limit
    if limit is not None and wanted > limit:
        raise SettingError(f"`max_length` {wanted}: the model reads at most {limit} tokens")
    marks = tokenizer.num_special_tokens_to_add(pair=True)
    if wanted <= marks:
        raise SettingError(
            f"`max_length` {wanted}: expected more than {marks}, the marks that stand around a text"
        )
    return wanted


def check_ids(path: Path, largest: int, rows: int | None) -> None:
    """Raise :class:`TokenizerError` if a tokenizer gives an id that the model has no row for.

    PyTorch ends in an index error then, and other runtimes answer something. ``rows`` is None for a model
    without such a table.
    """
    if rows is not None and largest >= rows:
        raise TokenizerError(
            f"{path}: the tokenizer gives the id {largest}, but the model's embedding has {rows} rows; "
            "use the tokenizer that the model was trained with, or resize the model"
        )


def embedding_rows(config: PretrainedConfig) -> int | None:
    """Return how many ids a model has a row for, None if it has no table of them (CANINE)."""
    try:
        rows = getattr(config.get_text_config(), "vocab_size", None)
    except ValueError:
        # Several texts are read, each with its own table.
        return None
    if not isinstance(rows, int):
        return None
    return rows


def _follow_sentence_transformers(path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    chain = read_chain(path)
    if chain is None:
        return
    if chain.max_length is not None:
        # Also where the tokenizer's own files allow fewer.
        tokenizer.model_max_length = chain.max_length
    if chain.lowers_case:
        _lower_case(tokenizer)
    # Attributes that transformers does not know; ``encode`` reads them.
    tokenizer.prompt = chain.default_prompt
    prompts = chain.prompts
    tokenizer.query_prompt = prompts["query"]
    tokenizer.passage_prompt = prompts["document"]


def _lower_case(tokenizer: PreTrainedTokenizerBase) -> None:
    if not tokenizer.is_fast:
        tokenizer.do_lower_case = True
        return
    steps = [Lowercase()]
    normalizer = tokenizer.backend_tokenizer.normalizer
    if normalizer is not None:
        steps.append(normalizer)
    tokenizer.backend_tokenizer.normalizer = Normalizers(steps)
