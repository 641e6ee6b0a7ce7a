"""moto_server, which speaks AWS's APIs; it takes every signature, so it can tell nothing of those.

It has secrets as rotation functions of AWS's drive them. RotateSecret itself is not to be called:
without a function it can leave a secret without a current value.
"""

import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from forebay.embedded.surroundings import HOST, clean_environment, free_port
from tests.harness.waiting import eventually

REGION: Final = "eu-west-1"


class MotoServer:
    """One server, on a port of its own; what is in it is gone when it ends."""

    def __init__(self, home: Path) -> None:
        self._log = home / "moto.log"
        self._port = free_port()
        self.url = f"http://{HOST}:{self._port}"

    def __enter__(self) -> "MotoServer":
        program = Path(sys.executable).with_name("moto_server")
        environment = {
            name: value
            for name, value in clean_environment().items()
            if not name.startswith(("AWS_", "MOTO_"))
        }
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                [program, "-H", HOST, "-p", str(self._port)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            eventually(self._listens, "moto_server listens", timeout_s=60)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None
    ) -> None:
        self._stop()

    def client(self, service: str) -> Any:
        """boto3's client of a service; the credentials are none that anybody has."""
        return client(service, self.url, "moto", "not-a-secret")

    def _stop(self) -> None:
        self._server.terminate()
        try:
            self._server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def _listens(self) -> bool:
        assert self._server.poll() is None, self._log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self._port)) == 0


def client(service: str, url: str, access_key_id: str, secret_access_key: str) -> Any:
    """boto3's client of a service at this address."""
    import boto3  # it takes a while, and most tests have no use for it

    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
    )
