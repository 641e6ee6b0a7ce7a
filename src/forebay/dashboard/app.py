"""The addresses that are answered. Nothing here changes anything but a browser's cookie.

/                 the page              /healthz   the process lives
/login, /logout   with a token only     /readyz    it can serve
/api/live         server-sent events    /metrics   for Prometheus
/api/now, /api/history, /api/events     JSON
"""

import asyncio
import time
from typing import Final

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forebay.dashboard import files
from forebay.dashboard.gate import HEADERS, Gate
from forebay.dashboard.live import Live, encoded
from forebay.dashboard.past import events_of, past_of
from forebay.dashboard.scrapes import Scrapes
from forebay.dashboard.stream import Stream
from forebay.dashboard.token import COOKIE_AGE_S, MAX_CHARACTERS
from forebay.dashboard.watched import Watched

MAX_FORM_BYTES: Final = 3 * MAX_CHARACTERS + 64
"""Of a login: each character may be written as three."""
FORM_TIMEOUT_S: Final = 10.0
_WRONG: Final = b'<p id="message" role="alert">'


class Guarded:
    """Lets a request through if the gate does, and puts the gate's headers on every answer."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._gate.refusal(
            scope["method"],
            scope["path"],
            headers,
            (scope.get("client") or ("", 0))[0],
            now=time.time(),
            now_s=asyncio.get_running_loop().time(),
        )
        app = self._app
        if refusal is not None:
            await asyncio.sleep(refusal.delay_s)
            app = PlainTextResponse(refusal.text, refusal.status, refusal.headers)
            if refusal.status == 401 and scope["path"] == "/" and refusal.delay_s == 0:
                app = RedirectResponse("login", 303)
        await app(scope, receive, with_headers)


def make_app(node: Watched, live: Live, gate: Gate) -> ASGIApp:
    """The ASGI application for one node."""
    pages = _Pages(node, live, gate)
    routes = [
        Route("/healthz", pages.health),
        Route("/readyz", pages.readiness),
        Route("/", pages.index),
        Route("/login", pages.login_form, methods=["GET"]),
        Route("/login", pages.log_in, methods=["POST"]),
        Route("/logout", pages.log_out, methods=["POST"]),
        Route("/metrics", Scrapes(node.observer).answer),
        Route("/api/now", pages.now),
        Route("/api/history", pages.history),
        Route("/api/events", pages.events),
        Route("/api/live", Stream(node, live)),
        Route("/{name:path}", pages.file),
    ]
    return Guarded(Router(routes, redirect_slashes=False), gate)


class _Pages:
    """One method for each address."""

    def __init__(self, node: Watched, live: Live, gate: Gate) -> None:
        self._node = node
        self._live = live
        self._gate = gate

    # --- health -------------------------------------------------------------------------------

    async def health(self, _: Request) -> Response:
        """It lives: this loop turns. Whether it can serve does not matter here, for a restart would
        not help against a database that is away, and would end clients that are served."""
        return PlainTextResponse("ok\n")

    async def readiness(self, request: Request) -> Response:
        """Whether it can serve: 200, or 503 with what is in the way, one thing on a line. While
        requests are held it can: who waits here would be refused elsewhere. (Why they are is not
        told to everybody: there are addresses in it.)"""
        status = await self._node.status()
        code = 200 if status.ok else 503
        held = {
            each.name: each.servers.state
            for each in status.proxies
            if each.servers is not None and each.servers.state != "UP"
        }
        if "application/json" in request.headers.get("accept", ""):
            content = {
                "ok": status.ok,
                "state": status.state,
                "problems": status.problems,
                "targets": held,
            }
            return _json(msgspec.json.encode(content), code)
        waits = [f"proxies.{name}: {state}: requests wait" for name, state in held.items()]
        told = [*(status.problems or ["ok"]), *waits]
        return PlainTextResponse("".join(f"{each}\n" for each in told), code)

    # --- the page -----------------------------------------------------------------------------

    async def index(self, _: Request) -> Response:
        content = files.content(files.INDEX)
        if not self._gate.has_token:
            content = content.replace(b'<form id="logout"', b'<form id="logout" hidden', 1)
        return Response(content, media_type=files.media_type(files.INDEX))

    async def file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files.names() or name in (files.INDEX, files.LOGIN):
            return PlainTextResponse("not found\n", 404)
        return Response(files.content(name), media_type=files.media_type(name))

    # --- who has the token --------------------------------------------------------------------

    async def login_form(self, _: Request) -> Response:
        return Response(files.content(files.LOGIN), media_type=files.media_type(files.LOGIN))

    async def log_in(self, request: Request) -> Response:
        token = await _field(request, b"token")
        if token is None:
            return PlainTextResponse("not a login form\n", 400)
        address = request.client.host if request.client else ""
        loop = asyncio.get_running_loop()
        answer = self._gate.log_in(token, address, now=time.time(), now_s=loop.time())
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            content = files.content(files.LOGIN).replace(_WRONG, _WRONG + b"This is not the token.")
            return Response(content, 401, media_type=files.media_type(files.LOGIN))
        response = RedirectResponse("./", 303)
        response.set_cookie(
            self._gate.cookie_name,
            answer,
            max_age=COOKIE_AGE_S,
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto", "") == "https",
        )
        return response

    async def log_out(self, _: Request) -> Response:
        response = RedirectResponse("login", 303)
        response.delete_cookie(self._gate.cookie_name, httponly=True, samesite="strict")
        return response

    # --- figures ------------------------------------------------------------------------------

    async def now(self, request: Request) -> Response:
        """For pages that have no stream; they let go of their connection meanwhile."""
        proxy = proxy_in(request, self._node)
        if proxy is None:
            return _no_such_proxy()
        return _json(await self._live.now(proxy), close=True)

    async def history(self, request: Request) -> Response:
        """What was behind ``since`` (Unix time, s), column by column."""
        proxy = proxy_in(request, self._node)
        if proxy is None:
            return _no_such_proxy()
        samples = self._node.history.since(_number(request, "since"))
        return _json(encoded(past_of(proxy, samples)))

    async def events(self, request: Request) -> Response:
        """Those behind the number ``since``."""
        since = int(_number(request, "since"))
        return _json(encoded(events_of(self._node.observer.events.since(since))))


def proxy_in(request: Request, node: Watched) -> str | None:
    """The proxy that is asked for, else the first; None if there is none of this name."""
    names = node.config.proxies
    name = request.query_params.get("proxy") or next(iter(names), "")
    return name if name in names else None


def _no_such_proxy() -> Response:
    return _json(b'{"problem":"there is no proxy of this name"}', 404)


def _number(request: Request, name: str) -> float:
    """A number of the query; 0 without it, and for what is none."""
    try:
        number = float(request.query_params.get(name, "0")[:32])
    except ValueError:
        return 0.0
    return number if 0 <= number < 1e12 else 0.0


def _json(content: bytes, status: int = 200, *, close: bool = False) -> Response:
    headers = {"Connection": "close"} if close else None
    return Response(content, status, headers, media_type="application/json")


async def _field(request: Request, name: bytes) -> str | None:
    """A field of a form that was posted; None if there is none, or too much of it."""
    from urllib.parse import parse_qs

    body = b""
    try:
        async with asyncio.timeout(FORM_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_FORM_BYTES:
                    return None
        found = parse_qs(body, max_num_fields=4).get(name)
    except (TimeoutError, ClientDisconnect, ValueError):
        return None
    return found[0].decode(errors="replace") if found else None
