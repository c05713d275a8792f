"""Requests that are not answered: the status, and what the body says of it.

The words are those of Text Embeddings Inference (``{"error": …, "error_type": …}``); clients of the Open
Inference Protocol read ``error`` as well.
"""

from __future__ import annotations

VALIDATION = "Validation"
OVERLOADED = "Overloaded"
BACKEND = "Backend"
UNHEALTHY = "Unhealthy"

_CLOSING = {408, 413}


class Refused(Exception):  # noqa: N818  an answer to a client, no error of Prensa's
    """A request that gets another answer than it wanted. The words are for the client, never for a log."""

    def __init__(
        self,
        status: int,
        kind: str,
        reason: str,
        *,
        field: str | None = None,
        routes: list[str] | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Refuse with an HTTP ``status``; ``field`` names what of the request is wrong."""
        super().__init__(reason)
        self.status = status
        self.kind = kind
        self.reason = reason
        self.field = field
        self.routes = routes
        self.retry_after = retry_after

    @property
    def content(self) -> dict[str, object]:
        """The body."""
        content: dict[str, object] = {"error": self.reason, "error_type": self.kind}
        if self.field is not None:
            content["field"] = self.field
        if self.routes is not None:
            content["routes"] = self.routes
        return content

    @property
    def headers(self) -> dict[str, str]:
        """Headers beside the usual ones."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        # The rest of its body may still be on its way: nothing else can come on that connection.
        if self.status in _CLOSING:
            headers["Connection"] = "close"
        return headers


def wrong(field: str, reason: str) -> Refused:
    """Make a refusal (422) of a field that is missing or of another type than expected."""
    return Refused(422, VALIDATION, f"{field}: {reason}", field=field)


def too_large(reason: str, field: str | None = None) -> Refused:
    """Make a refusal (413) of what is beyond a limit."""
    return Refused(413, VALIDATION, reason, field=field)


def overloaded(reason: str, retry_after: int) -> Refused:
    """Make a refusal (429) of what another time, ``retry_after`` seconds from now, may be answered."""
    return Refused(429, OVERLOADED, reason, retry_after=retry_after)


def failed(reason: str) -> Refused:
    """Make a refusal (424) of what the model has failed on."""
    return Refused(424, BACKEND, reason)


def unhealthy(reason: str, retry_after: int | None = None) -> Refused:
    """Make a refusal (503) while the model cannot answer."""
    return Refused(503, UNHEALTHY, reason, retry_after=retry_after)


def gone() -> Refused:
    """Make what is counted (499, as others do) where a client has left: nobody reads it."""
    return Refused(499, "Gone", "the client left")
