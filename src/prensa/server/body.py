"""A request's body: read up to a limit, as JSON, and its fields by type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from starlette.requests import ClientDisconnect, Request

from prensa.server.refused import gone, too_large, wrong

# Bytes of a body that is too large which are read and dropped: a client that is still sending when the
# connection is closed often does not get to see the answer.
_DROPPED = 32_000_000

Body = Mapping[str, object]

Where = Callable[[int], str]
"""Says where in a body a text was, by its index."""


def indexed(field: str) -> Where:
    """Return where the texts of an array are."""
    return lambda index: f"{field}[{index}]"


def single(field: str) -> Where:
    """Return where a text is that stands alone."""
    return lambda _: field


async def read_body(request: Request, limit: int) -> Body:
    """Return the JSON object in a request of up to ``limit`` bytes.

    Raises :class:`~prensa.server.refused.Refused`: 413 for more bytes, 422 for anything but a JSON object.
    """
    content = await _read(request, limit)
    request.state.is_read = True
    try:
        body = json.loads(content)
    except RecursionError:
        raise wrong("body", "nested too deeply") from None
    except ValueError as error:
        # Of JSON it says where, and nothing of what was sent.
        reason = "not UTF-8" if isinstance(error, UnicodeError) else str(error)
        raise wrong("body", f"not JSON ({reason})") from None
    if not isinstance(body, dict):
        raise wrong("body", f"expected a JSON object, found {described(body)}")
    return body


def is_read(request: Request) -> bool:
    """Whether all of a request has come."""
    return getattr(request.state, "is_read", False)


async def _read(request: Request, limit: int) -> bytes:
    is_large = _announced(request) > limit
    # A client that waits for leave to send does not get it.
    if is_large and "expect" in request.headers:
        raise too_large(f"the body has more than {limit:,} bytes")
    chunks = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            is_large = is_large or size > limit
            if not is_large:
                chunks.append(chunk)
                continue
            # Nothing of it is kept.
            chunks.clear()
            if size > max(_DROPPED, limit):
                break
    except ClientDisconnect:
        raise gone() from None
    if is_large:
        raise too_large(f"the body has more than {limit:,} bytes")
    return b"".join(chunks)


def _announced(request: Request) -> int:
    """Return how many bytes the headers promise, 0 where they do not say."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def described(value: object) -> str:
    """Name the JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return "an object"


def choice(body: Body, name: str) -> bool | None:
    """Return a field that is true or false, None where it is missing."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(name, f"expected true or false, found {described(value)}")
    return value


def flag(body: Body, name: str, *, default: bool) -> bool:
    """Return a field that is true or false, ``default`` where it is missing."""
    value = choice(body, name)
    if value is None:
        return default
    return value


def number(body: Body, name: str) -> int | None:
    """Return a field that is a whole number from 1 on, None where it is missing."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        # True is an int in Python, and no number in JSON.
        shown = str(value) if type(value) in {int, float} else described(value)
        raise wrong(name, f"expected a whole number from 1 on, found {shown}")
    return value


def word(body: Body, name: str, expected: Sequence[str] = ()) -> str | None:
    """Return a field that is a string, one of those ``expected`` if there are any; None if it is missing."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or (expected and value not in expected):
        wanted = " or ".join(expected) or "a string"
        raise wrong(name, f"expected {wanted}, found {described(value)}")
    return value


def strings(value: object, field: str) -> list[str]:
    """Return an array of strings."""
    if not isinstance(value, list):
        raise wrong(field, f"expected an array of strings, found {described(value)}")
    for index, one in enumerate(value):
        if not isinstance(one, str):
            raise wrong(f"{field}[{index}]", f"expected a string, found {described(one)}")
    return value


def required(body: Body, name: str) -> object:
    """Return a field. Raises :class:`~prensa.server.refused.Refused` (422) where it is missing."""
    if body.get(name) is None:
        raise wrong(name, "missing")
    return body[name]
