"""The rig that integration tests stand on.

``Forebay`` runs the real program against a real ``Postgres``; ``FaultProxy`` spoils the network
between them; ``psql`` and ``pgbench`` are real clients. Tests then read as sentences.
"""

from forebay.embedded.postgres import Postgres
from tests.harness.clients import Finished, TestDatabase, pgbench, psql
from tests.harness.faults import FaultProxy
from tests.harness.forebay import Forebay, run_command, start_command
from tests.harness.waiting import eventually

__all__ = [
    "FaultProxy",
    "Finished",
    "Forebay",
    "Postgres",
    "TestDatabase",
    "eventually",
    "pgbench",
    "psql",
    "run_command",
    "start_command",
]
