"""A process full of clients that ends early."""

import sys
from pathlib import Path

import pytest

from forebay.demo.crowd import Crowd
from forebay.demo.reports import Order, Report
from forebay.embedded.errors import SetupError

ORDER = Order(
    group="web",
    clients=1,
    host="127.0.0.1",
    port=1,
    sslmode="disable",
    user="app",
    password="x",
    database="shop",
    work_s=1,
    seed=1,
)


async def test_a_process_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nread order\necho 'out of memory' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    async with Crowd([ORDER], "forebay.demo.clients", Report, 1.0) as crowd:
        with pytest.raises(SetupError, match="ended early: out of memory"):
            await crowd.connected()
