"""What it costs that every statement's text is new, as with literals pasted into SQL."""

from bench.figures import Limit
from bench.measures.transactions import CLIENTS, CONNECTIONS, PerTransaction
from bench.pgbench import Load
from bench.results import Row
from bench.sides import Side
from bench.world import World

LIMIT = Limit(1.00, 0.85)
# Of equal length, so that only their being known or new differs.
SCRIPTS = {
    "repeated text": "SELECT 1234567890123 AS number, 'a word' AS word;\n",
    "unique text": (
        "\\set number random(1000000000000, 9999999999999)\n"
        "SELECT :number AS number, 'a word' AS word;\n"
    ),
}


def measure(world: World) -> list[Row]:
    """Run both scripts in the simple protocol."""
    rows = []
    sides = (Side.PGBOUNCER, Side.FOREBAY)
    with world.stands(tls=False, connections=CONNECTIONS, sides=sides) as stands:
        for case, script in SCRIPTS.items():
            load = Load(CLIENTS, seconds=world.options.seconds, script=script)
            one = PerTransaction(world, "literals", case, LIMIT, load)
            world.rounds(stands, f"literals, {case}", one.sample)
            rows += [one.cpu, one.user]
    return rows
