"""What the tests of ``forebay status``, ``reload`` and ``stop`` share."""

import json
from pathlib import Path
from typing import Any

from tests.harness import Forebay


def socket_of(forebay: Forebay, runtime: Path) -> Path:
    """Where its control socket is by default."""
    return runtime / "forebay" / f"node-{forebay.pid}.sock"


def status(forebay: Forebay, code: int = 0) -> dict[str, Any]:
    """What it says of itself; fails the test if the command ends with another code."""
    done = forebay.command("status", "--json")
    assert done.code == code, done.out + done.err
    answer: dict[str, Any] = json.loads(done.out)
    return answer
