"""What ``test_interrupted`` starts as a run of its own, and interrupts: no test of the suite."""

import os
import subprocess
import time
from pathlib import Path

from tests.harness import Forebay
from tests.harness.clients import client
from tests.harness.reaper import VARIABLE

TOLD_IN = "INTERRUPTED_RUN_TELLS"


def test_that_never_ends(forebay: Forebay) -> None:
    """A database, a node with its worker, and a client that waits; each made as others make it."""
    with subprocess.Popen([client("psql"), "-X", "-c", "SELECT pg_sleep(600)", forebay.dsn()]):
        forebay.wait_for_log("Serving")
        told = Path(os.environ[TOLD_IN])
        told.with_suffix(".new").write_text(os.environ[VARIABLE])
        told.with_suffix(".new").rename(told)
        time.sleep(600)
