"""What it costs that every transaction gets a connection that another client's settings are on."""

from bench.figures import Limit
from bench.measures.transactions import CLIENTS, PerTransaction
from bench.pgbench import Load
from bench.results import Row
from bench.sides import Side, Stand
from bench.world import World

# Four clients for each: whoever is next in the queue is somebody else than who was served last.
CONNECTIONS = 4
LIMIT = Limit(1.05, 1.00)
EQUAL = "equal settings"
TENANTS = "own app.tenant and search_path"
# Case → what each client sets, once. Without variables of its own in it, all set the same.
CASES = {
    EQUAL: {"application_name": "client"},
    "own application_name": {"application_name": "client :client_id"},
    TENANTS: {"app.tenant": "tenant :client_id", "search_path": "tenant_:client_id, public"},
}
# PgBouncer carries what PostgreSQL reports; of others it leaves one client's to the next.
INCOMPARABLE = {TENANTS}
READY = "ready"


def script(settings: dict[str, str]) -> str:
    """Write what pgbench runs: set them in the first transaction, divide by zero without them."""
    sets = [f"SELECT set_config('{name}', '{value}', false);\n" for name, value in settings.items()]
    checks = " AND ".join(
        f"current_setting('{name}', true) = '{value}'" for name, value in settings.items()
    )
    return "".join(
        [
            f"\\if :{READY} = 0\n",
            *sets,
            f"\\set {READY} 1\n",
            "\\endif\n",
            f"SELECT 1 / (coalesce({checks}, false))::int AS kept;\n",
        ]
    )


def measure(world: World) -> list[Row]:
    """Run all cases one after the other on each side, so that those of a round are comparable."""
    costs: dict[str, PerTransaction] = {}
    ratios: dict[str, Row] = {}
    for case, settings in CASES.items():
        load = Load(
            CLIENTS,
            seconds=world.options.seconds,
            script=script(settings),
            variables={READY: "0"},
        )
        limit = None if case in INCOMPARABLE else LIMIT
        costs[case] = PerTransaction(world, "change-over", case, limit, load)
        if case != EQUAL:
            ratios[case] = Row("change-over", case, f"proxy CPU ÷ with {EQUAL}", "")
    with world.stands(tls=False, connections=CONNECTIONS) as stands:

        def sample(stand: Stand) -> None:
            for case, one in costs.items():
                if stand.side is not Side.PGBOUNCER or case not in INCOMPARABLE:
                    one.sample(stand)
            compare(stand.side, {case: one.cpu for case, one in costs.items()}, ratios)

        world.rounds(stands, "change-over", sample)
    rows = []
    for case, one in costs.items():
        rows += [one.cpu, one.user, one.rate, *([ratios[case]] if case in ratios else [])]
    return rows


def compare(side: Side, cpu: dict[str, Row], ratios: dict[str, Row]) -> None:
    """Add what this round's change-overs cost above equal settings in the same round."""
    equal = cpu[EQUAL].samples.get(side)
    for case, ratio in ratios.items():
        if equal and (own := cpu[case].samples.get(side)):
            ratio.add(side, own[-1] / equal[-1])
