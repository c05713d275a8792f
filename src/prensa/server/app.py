"""The application: which route is answered by what, who may ask, and how everything that fails is said."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from prensa.errors import SettingError
from prensa.server import routes_hf, routes_tei, routes_v2
from prensa.server.body import is_read
from prensa.server.front import Front
from prensa.server.key import Key
from prensa.server.limits import Limits
from prensa.server.metrics import Metrics
from prensa.server.page import page
from prensa.server.refused import Refused, unhealthy
from prensa.server.replies import refusal
from prensa.server.task import Does, routes_of

Handler = Callable[[Request, Front], Awaitable[Response]]
Respond = Callable[[Request], Awaitable[Response]]

# What whoever watches over servers asks, without a key. The page holds nothing of the model.
_OPEN = {"/", "/health", "/v2/health/live", "/v2/health/ready"}
_LOADING = 1
# As long again as a request may take its response may.
_TIMES = 2

_log = logging.getLogger(__name__)


class Service:
    """A server's state: its model is being loaded, or answers."""

    def __init__(self, name: str, limits: Limits, key: Key | None = None) -> None:
        """Start without a model. Clients must show the ``key`` if there is one."""
        self.name = name
        self.limits = limits
        self.key = key
        self.metrics = Metrics()
        self._front: Front | None = None

    def open(self, front: Front) -> None:
        """Answer from now on."""
        self._front = front

    def close(self) -> None:
        """Let the workers finish what they have."""
        if self._front is not None:
            self._front.close()

    @property
    def front(self) -> Front:
        """Where requests are answered. Raises :class:`Refused` (503) while the model is being loaded."""
        if self._front is None:
            raise unhealthy("the model is being loaded", _LOADING)
        return self._front


def make_app(service: Service) -> ASGIApp:
    """Return the application. Raises :class:`SettingError` for a model's name that cannot be in a path."""
    name = service.name
    if not name or any(character in name for character in "{}?#%"):
        raise SettingError(f"`name` {name!r}: expected letters, digits, dots, dashes and slashes")
    at = _Routes(service)
    model = f"/v2/models/{name}"
    routes = [
        at.get("/", page),
        at.post("/", routes_hf.infer),
        at.post("/predict", routes_tei.predict, {"classifies", "scores"}),
        at.post("/rerank", routes_tei.rerank, {"scores"}),
        at.post("/embed", routes_tei.embed, {"embeds"}),
        at.post("/tokenize", routes_tei.tokenize),
        at.get("/info", at.of_model(routes_tei.info)),
        at.get("/health", at.of_model(routes_tei.health)),
        at.get("/metrics", at.metrics),
        at.get("/v2", routes_v2.server),
        at.get("/v2/health/live", routes_v2.live),
        at.get("/v2/health/ready", at.of_model(routes_v2.ready)),
        at.get(model, at.of_model(routes_v2.model)),
        at.get(f"{model}/ready", at.of_model(routes_v2.ready)),
        at.post(f"{model}/infer", routes_v2.infer),
    ]
    app = Starlette(routes=routes, exception_handlers={404: at.unknown, 405: at.unknown})
    # Redirects would come before the key, and point to a host and a scheme that the client itself sent.
    app.router.redirect_slashes = False
    return _bounded(app, _TIMES * service.limits.seconds)


def _bounded(app: ASGIApp, seconds: float) -> ASGIApp:
    """Give up a response that its client does not read: what is left of it is dropped."""

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        # Where it was not sent to its end, the connection is closed.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(app(scope, receive, send), seconds)

    return bounded


class _Routes:
    """Makes routes: each checks the key, keeps to the time limit, and says what went wrong."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def get(self, path: str, answer: Respond) -> Route:
        """Make a route that answers who has the key, or everybody where there is nothing to hide."""
        if path not in _OPEN:
            answer = self._with_key(answer)
        return Route(path, self._guarded(path, answer), methods=["GET"])

    def post(self, path: str, handler: Handler, whom: set[Does] | None = None) -> Route:
        """Make a route that a model has, or only one that does what is in ``whom``."""
        answer = self._with_key(self.of_model(handler, whom))
        return Route(path, self._guarded(path, answer), methods=["POST"])

    def of_model(self, handler: Handler, whom: set[Does] | None = None) -> Respond:
        """Return what answers once there is a model."""

        async def answer(request: Request) -> Response:
            front = self._service.front
            if whom is not None and front.does not in whom:
                raise self._missing()
            return await handler(request, front)

        return answer

    async def metrics(self, _: Request) -> Response:
        return Response(self._service.metrics.render(), media_type=self._service.metrics.content_type)

    async def unknown(self, request: Request, error: Exception) -> Response:
        """Answer where there is no such route, or not by that method."""
        try:
            self._check_key(request)
            refused = self._missing()
            if isinstance(error, HTTPException):
                refused.status = error.status_code
        except Refused as other:
            refused = other
        self._service.metrics.answered("other", refused.status, 0.0)
        return refusal(refused)

    def _missing(self) -> Refused:
        """Return what is said of a route that there is not: those that there are."""
        routes = routes_of(self._service.front.does, self._service.name)
        # Neither method nor path is repeated: they may be anything.
        reason = f"no such route for this model; it has {', '.join(routes)}"
        return Refused(404, "NotFound", reason, routes=routes)

    def _check_key(self, request: Request) -> None:
        key = self._service.key
        if key is not None and not key.fits(request.headers.get("authorization", "")):
            raise Refused(401, "Unauthorized", "send the server's key as `Authorization: Bearer KEY`")

    def _with_key(self, answer: Respond) -> Respond:
        """Answer only who has the key.

        This belongs to the route, and is not decided by a request's URL: Starlette makes that of the Host
        header as well, in which a client may write the path of another route.
        """

        async def checked(request: Request) -> Response:
            self._check_key(request)
            return await answer(request)

        return checked

    def _guarded(self, path: str, answer: Respond) -> Respond:
        async def guarded(request: Request) -> Response:
            request.state.began = time.perf_counter()
            response = await self._answered(request, answer)
            seconds = time.perf_counter() - request.state.began
            self._service.metrics.answered(path, response.status_code, seconds)
            return response

        return guarded

    async def _answered(self, request: Request, answer: Respond) -> Response:
        try:
            return await asyncio.wait_for(answer(request), self._service.limits.seconds)
        except Refused as refused:
            return refusal(refused)
        except asyncio.TimeoutError:
            # Whose fault it is: a client's that does not send, or that of a model with too much to do.
            status = 504 if is_read(request) else 408
            reason = f"not answered within {self._service.limits.seconds:g} seconds"
            return refusal(Refused(status, "Timeout", reason))
        except Exception as error:  # noqa: BLE001  a defect here must not end up as a text in a log
            _log.error("a request failed (%s)", _where(error))
            return refusal(Refused(500, "Internal", f"an error in Prensa ({type(error).__name__})"))


def _where(error: BaseException) -> str:
    """Return the kind of an error and the place that raised it, without its message."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}"
