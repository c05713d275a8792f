"""The tokens of texts, with their places, as a tokenizer gives them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from prensa.server.body import Where
from prensa.server.front import Front
from prensa.server.refused import too_large, wrong
from prensa.texts.characters import has_half_character
from prensa.texts.reader import alone

# Characters of all texts of a request: each may be a token, and that takes many times its memory.
_CHARACTERS = 100_000


async def tokens_of(
    front: Front, texts: Sequence[str], where: Where, *, with_marks: bool
) -> list[list[dict[str, object]]]:
    """Return the tokens of each text, with the marks around it if wanted.

    Raises :class:`~prensa.server.refused.Refused` for too many texts, and for what is no text.
    """
    if not texts:
        raise wrong("inputs", "empty")
    if len(texts) > front.limits.max_texts:
        raise too_large(f"{len(texts)} texts in a request, at most {front.limits.max_texts} are allowed")
    if sum(map(len, texts)) > _CHARACTERS:
        raise too_large(f"more than {_CHARACTERS:,} characters to tokenize")
    for index, text in enumerate(texts):
        if has_half_character(text):
            raise wrong(where(index), "holds half of a surrogate pair")
    return await asyncio.to_thread(partial(_tokenized, front, texts, with_marks=with_marks))


def _tokenized(front: Front, texts: Sequence[str], *, with_marks: bool) -> list[list[dict[str, object]]]:
    tokenizer = front.served.reader
    has_places = bool(tokenizer.is_fast)
    listed = []
    with alone(tokenizer):
        batch = tokenizer(
            list(texts),
            add_special_tokens=with_marks,
            truncation=False,
            return_special_tokens_mask=True,
            verbose=False,
        )
    for index, text in enumerate(texts):
        ids = batch["input_ids"][index]
        places = batch.encodings[index].offsets if has_places else [None] * len(ids)
        tokens = []
        for token_id, special, place in zip(ids, batch["special_tokens_mask"][index], places, strict=True):
            token: dict[str, object] = {"id": token_id, "special": bool(special)}
            if special or place is None:
                token |= {"text": tokenizer.convert_ids_to_tokens(token_id), "start": None, "stop": None}
            else:
                start, stop = place
                token |= {"text": text[start:stop], "start": start, "stop": stop}
            tokens.append(token)
        listed.append(tokens)
    return listed
