"""``/api/live``: server-sent events (https://html.spec.whatwg.org/#server-sent-events)."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from forebay.dashboard.live import Live, Viewer
from forebay.dashboard.watched import Watched
from forebay.net.tasks import spawn

RETRY_MS: Final = 2000
"""After so long a browser tries again when the stream has ended."""
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"connection", b"close"),
    (b"x-accel-buffering", b"no"),  # nginx would hold messages back
]
_FULL: Final = b'{"problem":"too many pages are open: this one has to ask now and then"}'
_UNKNOWN: Final = b'{"problem":"there is no proxy of this name"}'


class Stream:
    """An ASGI application: one stream of messages about one proxy, until its reader leaves."""

    def __init__(self, node: Watched, live: Live) -> None:
        self._node = node
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = self._node.config.proxies
        proxy = Request(scope).query_params.get("proxy") or next(iter(names), "")
        if proxy not in names:
            await Response(_UNKNOWN, 404, media_type="application/json")(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await send({"type": "http.response.body", "body": b""})
            return
        viewer = self._live.join(proxy)
        if viewer is None:
            headers = {"Retry-After": "10", "Connection": "close"}
            answer = Response(_FULL, 503, headers, media_type="application/json")
            await answer(scope, receive, send)
            return
        watching = spawn(_leave_with(receive, viewer), "reader of a stream")
        try:
            await self._tell(proxy, viewer, send)
        finally:
            self._live.leave(viewer)
            watching.cancel()

    async def _tell(self, proxy: str, viewer: Viewer, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        message: bytes | None = await self._live.now(proxy)
        await _send(send, b"retry: %d\n" % RETRY_MS)
        while message is not None:
            await _send(send, b"data: " + message + b"\n\n")
            message = await viewer.next()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _leave_with(receive: Receive, viewer: Viewer) -> None:
    """Lets the viewer leave when its reader does."""
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.leave()
