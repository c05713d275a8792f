"""Responses: JSON that any client reads, and what each answer took, in headers."""

from __future__ import annotations

import json
import time

from starlette.requests import Request
from starlette.responses import Response

from prensa.server.front import Told
from prensa.server.refused import Refused


class Json(Response):
    """JSON in ASCII: what a client sent may come back, and no text of it may fail to be written."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Write it. Numbers are finite, so that it is JSON everywhere."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def reply(request: Request, told: Told, content: object) -> Json:
    """Return an answer with the headers that Text Embeddings Inference sends: sizes, and milliseconds."""
    milliseconds = {
        "x-total-time": time.perf_counter() - request.state.began,
        "x-tokenization-time": told.tokenizing,
        "x-queue-time": told.waiting,
        "x-inference-time": told.answering,
    }
    headers = {name: str(round(1e3 * seconds)) for name, seconds in milliseconds.items()}
    headers["x-compute-characters"] = str(told.characters)
    headers["x-compute-tokens"] = str(told.tokens)
    return Json(content, headers=headers)


def refusal(refused: Refused) -> Json:
    """Return a refusal."""
    return Json(refused.content, refused.status, headers=refused.headers)
