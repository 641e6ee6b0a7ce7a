"""A stand-in for AWS's Security Token Service, and what it may answer, right or wrong."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from forebay.embedded.surroundings import HOST
from forebay.identity.sigv4 import canonical_query, sign
from forebay.identity.sts import Endpoint
from forebay.identity.sts.requests import PROXY_HEADER

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
ACCOUNT = "111122223333"
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/dev"
REGION = "eu-west-1"


@dataclass(frozen=True)
class Asked:
    """One request. ``connection``: the number of the connection that it came over."""

    line: str
    headers: dict[str, str]
    connection: int

    @property
    def parameters(self) -> dict[str, str]:
        """Those of the query, encoded as they are."""
        query = self.line.split(" ")[1].partition("?")[2]
        return dict(pair.split("=", 1) for pair in query.split("&"))


Answer = Callable[[Asked], bytes | None]
"""What is sent back as it is; None closes the connection."""


def response(body: str | bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole response with this body."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/xml", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def identity(arn: str = USER_ARN, account: str = ACCOUNT, namespace: str = NAMESPACE) -> str:
    """What STS tells of a caller, as XML."""
    return (
        f'<GetCallerIdentityResponse xmlns="{namespace}">\n  <GetCallerIdentityResult>\n'
        f"    <Arn>{arn}</Arn>\n    <UserId>AIDA</UserId>\n    <Account>{account}</Account>\n"
        "  </GetCallerIdentityResult>\n  <ResponseMetadata><RequestId>1</RequestId>"
        "</ResponseMetadata>\n</GetCallerIdentityResponse>"
    )


def error(code: str, message: str = "hunter2") -> str:
    """An error as STS tells it, as XML."""
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )


def verifying(secrets: dict[str, str], arns: dict[str, str]) -> Answer:
    """As STS: the signature is computed anew with the access key that the request names, and over
    the headers that it came with. By access key: the secret, and whose it is."""

    def answer(asked: Asked) -> bytes:
        parameters = asked.parameters
        access_key_id = parameters["X-Amz-Credential"].partition("%2F")[0]
        if access_key_id not in secrets:
            return response(error("InvalidClientTokenId"), "403 Forbidden")
        signature = sign(
            secrets[access_key_id],
            host=asked.headers["host"],
            query=canonical_query(
                pair for pair in parameters.items() if pair[0] != "X-Amz-Signature"
            ),
            date=parameters["X-Amz-Date"],
            region=parameters["X-Amz-Credential"].split("%2F")[2],
            service="sts",
            header=(PROXY_HEADER, asked.headers[PROXY_HEADER]),
        )
        if signature != parameters["X-Amz-Signature"]:
            return response(error("SignatureDoesNotMatch"), "403 Forbidden")
        arn = arns[access_key_id]
        return response(identity(arn, account=arn.split(":")[4]))

    return answer


class StandInSts:
    """Listens on a port of its own, and answers each request with what `answer` makes of it."""

    def __init__(
        self, answer: Answer, tls: ssl.SSLContext | None = None, *, closes: bool = False
    ) -> None:
        """``closes``: each connection, after its first answer."""
        self.answer = answer
        self._closes = closes
        self.asked: list[Asked] = []
        self._tls = tls
        self._listener = socket.create_server((HOST, 0))
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._connections = 0
        scheme, host = ("http", HOST) if tls is None else ("https", "localhost")
        self.endpoint = Endpoint.parse(
            f"{scheme}://{host}:{self._listener.getsockname()[1]}", REGION
        )

    def __enter__(self) -> "StandInSts":
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.drop_connections()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def drop_connections(self) -> None:
        """As a server does that has been idle with them for long."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._connections += 1
            number = self._connections
            self._start(lambda sock=sock, number=number: self._serve(sock, number))

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with self._lock:
                self._open.add(sock)
            for asked in self._requests(sock, number):
                self.asked.append(asked)
                said = self.answer(asked)
                if said is None:
                    return
                sock.sendall(said)
                if self._closes:
                    return
        except OSError:
            pass  # the other side left, or did not trust this one
        finally:
            with self._lock:
                self._open.discard(sock)
                sock.close()

    def _requests(self, sock: socket.socket, number: int) -> Iterable[Asked]:
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                chunk = sock.recv(65_536)
                if not chunk:
                    return
                received += chunk
            head, _, received = received.partition(b"\r\n\r\n")
            line, *headers = head.decode().split("\r\n")
            pairs = (header.split(": ", 1) for header in headers)
            yield Asked(line, {name.lower(): value for name, value in pairs}, number)
