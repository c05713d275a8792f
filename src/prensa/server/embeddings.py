"""Vectors of texts, as the routes of two kinds of clients return them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from prensa.server.body import Body, indexed, number, word
from prensa.server.front import Front
from prensa.server.predictions import vector
from prensa.server.refused import wrong
from prensa.server.replies import reply


async def vectors(
    request: Request,
    front: Front,
    texts: Sequence[str],
    body: Body,
    *,
    normalize: bool,
    truncate: bool | None,
) -> Response:
    """Return a vector for each text; ``body`` may name a prompt, and how many dimensions are wanted."""
    dimensions = number(body, "dimensions")
    told = await front.answer(
        request,
        texts,
        indexed("inputs"),
        truncate=truncate,
        prompt_name=word(body, "prompt_name"),
    )
    size = told.answers[0].output.size
    if dimensions is not None and dimensions > size:
        raise wrong("dimensions", f"expected at most {size}, as the vectors have, found {dimensions}")
    listed = [vector(answer, normalize=normalize, dimensions=dimensions) for answer in told.answers]
    return reply(request, told, listed)
