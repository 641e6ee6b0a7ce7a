"""Stands before a server with AWS's APIs, passes requests on, and spoils the answers on command."""

import http.client
import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from forebay.embedded.surroundings import HOST

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered instead."""

    status: int
    body: bytes
    content_type: str = "application/x-amz-json-1.1"


def refusal(code: str, message: str, status: int = 400) -> Answer:
    """An error as AWS's JSON APIs tell it."""
    return Answer(status, json.dumps({"__type": code, "Message": message}).encode())


HTML = Answer(200, b"<!DOCTYPE html><html><body>It works! hunter2</body></html>", "text/html")


class AwsFront:
    """Listens on a port of its own, which stays its own while it is stopped.

    ``spoil`` is asked with each request's body, as an object: what to answer instead, None to pass
    it on.
    """

    def __init__(self, url: str) -> None:
        self._behind = urlsplit(url)
        self._port = 0
        self._server: http.server.ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.spoil: Callable[[dict[str, Any]], Answer | None] = lambda _: None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"front": self})
        self._server = http.server.ThreadingHTTPServer((HOST, self._port), handler)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Nobody listens there any more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(TIMEOUT_S)
        self._server = self._thread = None

    def answer(self, headers: dict[str, str], path: str, body: bytes) -> Answer:
        spoilt = self.spoil(json.loads(body))
        if spoilt is not None:
            return spoilt
        connection = http.client.HTTPConnection(
            self._behind.hostname or "", self._behind.port, timeout=TIMEOUT_S
        )
        try:
            connection.request("POST", path, body, headers)
            found = connection.getresponse()
            kind = found.getheader("Content-Type", "application/x-amz-json-1.1")
            return Answer(found.status, found.read(), kind)
        finally:
            connection.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    front: AwsFront

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.front.answer(dict(self.headers), self.path, body)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""
