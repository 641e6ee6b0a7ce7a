"""One HTTP request at a time, bounded in time and bytes. No redirect is followed, no proxy of the
environment's is asked."""

import asyncio
import http.client
import io
import ssl
from typing import Final
from urllib.parse import urlsplit

from forebay.topology.sources.resolver import Resolver

MAX_HEAD_BYTES: Final = 16_384
MAX_BODY_BYTES: Final = 1_048_576


class HttpError(Exception):
    """The answer is none that can be used; the text says why, and nothing of the answer."""


async def get(
    url: str,
    path: str,
    resolver: Resolver,
    *,
    tls_context: ssl.SSLContext | None = None,
    timeout_s: float,
) -> bytes:
    """The body of what ``path`` below a URL answers with 200. ``tls_context`` is for https.

    Raises OSError (TimeoutError when it takes longer in all), and HttpError.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_encrypted = parts.scheme == "https"
    port = parts.port or (443 if is_encrypted else 80)
    target = f"{parts.path.rstrip('/')}{path}"
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {shown}\r\nUser-Agent: forebay\r\n"
        "Accept: application/json\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(timeout_s):
        reader, writer = await _connect(
            resolver, host, port, tls_context if is_encrypted else None, timeout_s
        )
        try:
            writer.write(request.encode("ascii", "replace"))
            return await _read(reader)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise HttpError("the answer is cut, or has too long a head") from None
        finally:
            writer.transport.abort()


async def _connect(
    resolver: Resolver, host: str, port: int, tls_context: ssl.SSLContext | None, timeout_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first address that answers; one that does not leaves time for the others."""
    addresses = await resolver.addresses(host, timeout_s)
    failure: OSError = OSError("the host name has no address")
    for address in addresses:
        try:
            async with asyncio.timeout(timeout_s / len(addresses)):
                return await asyncio.open_connection(
                    address,
                    port,
                    ssl=tls_context,
                    server_hostname=host if tls_context is not None else None,
                    limit=MAX_HEAD_BYTES,
                )
        except OSError as error:
            failure = error
    raise failure


async def _read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    words = line.split(b" ", 2)
    if not words[0].startswith(b"HTTP/1.") or len(words) < 2:
        raise HttpError("the answer is no HTTP")
    if words[1] != b"200":
        status = words[1].decode("ascii", "replace")[:3]
        raise HttpError(f"the answer has the status {status if status.isdigit() else '?'}")
    try:
        headers = http.client.parse_headers(io.BytesIO(fields))
    except http.client.HTTPException:
        raise HttpError("the answer is no HTTP") from None
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return await _read_chunks(reader)
    length = headers.get("Content-Length")
    if length is None:
        return await _read_to_end(reader)
    return await reader.readexactly(_length(length, 10))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        size = _length(line.partition(b";")[0].strip().decode("ascii", "replace"), 16)
        if size == 0:
            return bytes(body)
        _length(str(len(body) + size), 10)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise HttpError("the answer is no HTTP")


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while chunk := await reader.read(65_536):
        body += chunk
        _length(str(len(body)), 10)
    return bytes(body)


def _length(text: str, base: int) -> int:
    """A number of bytes, if that many are taken."""
    if not (text.isascii() and text.isalnum() and len(text) <= 16):
        raise HttpError("the answer is no HTTP")
    try:
        length = int(text, base)
    except ValueError:
        raise HttpError("the answer is no HTTP") from None
    if length > MAX_BODY_BYTES:
        raise HttpError(f"the answer is longer than {MAX_BODY_BYTES} bytes")
    return length
