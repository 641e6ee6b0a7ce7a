"""A stand-in for RDS with IAM authentication, in front of a PostgreSQL that lets its users in.

It demands TLS, asks for the password in clear, as RDS does of users who have been granted rds_iam,
and verifies that it is a token for itself; then it passes on, both ways, what is said.
"""

import asyncio
import contextlib
import ssl
import struct
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from forebay.embedded.certificates import Authority
from forebay.embedded.surroundings import HOST, free_port
from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import Refusal
from forebay.identity.verifier import KeysVerifier

REGION: Final = "eu-west-1"
NAME: Final = "localhost"
ROLE: Final = "rds_iam"
HBA: Final = f"host all +{ROLE} 127.0.0.1/32 trust"
"""The line in pg_hba.conf that lets those in whom this one has let in."""
_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
_CANCEL: Final = struct.pack("!i", 80877102)
_ASKS_IN_CLEAR: Final = struct.pack("!cii", b"R", 8, 3)
_LIMIT_BYTES: Final = 1 << 24


class StandInRds:
    """Listens on a port of its own; ``postgres_port``: the server behind it, which has `HBA`."""

    def __init__(self, directory: Path, postgres_port: int, key: AccessKey) -> None:
        authority = Authority("rds")
        self.ca_file = directory / "rds-ca.pem"
        self.ca_file.write_bytes(authority.certificate_pem)
        files = directory / "rds.crt", directory / "rds.key"
        for path, pem in zip(files, authority.issue([NAME]), strict=True):
            path.write_bytes(pem)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*files)
        self.port = free_port()
        hosts = [f"{NAME}:{self.port}"]
        self._verifier = KeysVerifier([key], region=REGION, hosts=hosts)
        self._postgres_port = postgres_port
        self.let_in: list[tuple[str, str]] = []
        """Users, with the tokens that they have shown."""
        self.refused: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "StandInRds":
        self._thread.start()
        self._wait_for(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None
    ) -> None:
        self._wait_for(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _wait_for(self, coroutine: "asyncio.coroutines.Coroutine[None, None, None]") -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port, limit=_LIMIT_BYTES)

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._log_in(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # one side has left, or this one ends
        finally:
            writer.transport.abort()

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(8)
        if first != _SSL_REQUEST:
            text = "no pg_hba.conf entry for the host, no encryption"
            await self._refuse(writer, "28000", text)
            return
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(self._context)
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        startup = await reader.readexactly(length - 4)
        if not startup.startswith(_CANCEL):
            pairs = startup[4:].split(b"\0")
            user = dict(zip(pairs[::2], pairs[1::2], strict=False))[b"user"].decode()
            writer.write(_ASKS_IN_CLEAR)
            await writer.drain()
            kind, length = struct.unpack("!ci", await reader.readexactly(5))
            token = (await reader.readexactly(length - 4))[:-1]
            found = self._verifier.check(token, user, time.time())
            if kind != b"p" or isinstance(found, Refusal):
                self.refused.append(str(found))
                text = f'PAM authentication failed for user "{user}"'
                await self._refuse(writer, "28000", text)
                return
            self.let_in.append((user, token.decode()))
        await self._pass_on(struct.pack("!i", len(startup) + 4) + startup, reader, writer)

    async def _refuse(self, writer: asyncio.StreamWriter, sqlstate: str, text: str) -> None:
        fields = f"SFATAL\0VFATAL\0C{sqlstate}\0M{text}\0\0".encode()
        writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _pass_on(
        self, startup: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there_reader, there = await asyncio.open_connection(HOST, self._postgres_port)
        try:
            there.write(startup)
            pumps = {
                asyncio.ensure_future(_pump(reader, there)),
                asyncio.ensure_future(_pump(there_reader, writer)),
            }
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            there.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
        await writer.drain()
