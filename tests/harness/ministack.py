"""MiniStack, a server that speaks AWS's APIs and verifies signatures.

It lives in a virtual environment of its own, whose path FOREBAY_TEST_MINISTACK has:
python3 -m venv DIR && DIR/bin/pip install ministack==1.5.33
"""

import os
import socket
import subprocess
from pathlib import Path
from types import TracebackType

import pytest

from forebay.embedded.surroundings import HOST, clean_environment, free_port
from forebay.identity.access_keys import AccessKey
from tests.harness.waiting import eventually

VARIABLE = "FOREBAY_TEST_MINISTACK"
ROOT_KEY = AccessKey("root", "not-a-secret")


class MiniStack:
    """One server, on a port of its own; tests that want it are skipped where there is none."""

    def __init__(self, home: Path) -> None:
        if VARIABLE not in os.environ:
            pytest.skip(f"{VARIABLE} names no virtual environment with MiniStack")
        self.programs = Path(os.environ[VARIABLE]) / "bin"
        self.home = home
        self._port = free_port()
        self.url = f"http://{HOST}:{self._port}"
        self.environment = {
            **clean_environment(),
            "HOME": str(home),
            "AUTH": "true",
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self._port),
            "AWS_ACCESS_KEY_ID": ROOT_KEY.access_key_id,
            "AWS_SECRET_ACCESS_KEY": ROOT_KEY.secret_access_key,
        }

    def __enter__(self) -> "MiniStack":
        with (self.home / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [self.programs / "ministack"],
                env=self.environment,
                cwd=self.home,
                stdout=log,
                stderr=log,
            )
        eventually(self._listens, "MiniStack listens", timeout_s=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None
    ) -> None:
        self._server.terminate()
        self._server.wait(timeout=30)

    def _listens(self) -> bool:
        assert self._server.poll() is None, (self.home / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self._port)) == 0
