"""People steer and see a failover: pause until a switchover, Patroni's callbacks, check, hosts that
change under load, and what status, metrics and the admin database tell meanwhile."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from forebay.embedded.pair import Pair
from forebay.embedded.postgres import Postgres
from tests.harness import Forebay, TestDatabase, eventually
from tests.harness.forebay import run_command
from tests.harness.load import Load, under_load

StartForebay = Callable[..., Forebay]
ADMIN = "app_user"
CLIENTS = 6


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A writer and a standby, with a user and a table."""
    with Pair() as servers:
        servers.writer.create_user(ADMIN, "planted-password")
        servers.writer.create_database(ADMIN, owner=ADMIN)
        yield servers


@pytest.fixture
def watching(pair: Pair, start_forebay: StartForebay) -> Forebay:
    """A Forebay that knows both, and has found out who writes."""
    database = TestDatabase(ADMIN, ADMIN, "planted-password")
    forebay = start_forebay(
        pair.writer.port,
        database,
        target={"hosts": pair.hosts},
        proxy={"admin_users": [ADMIN]},
    )
    eventually(lambda: state(forebay)["servers"][1]["role"] == "READ_ONLY", "the standby is known")
    with psycopg.connect(forebay.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE written (client int, turn int)")
    return forebay


def state(forebay: Forebay) -> Any:
    """What ``forebay status`` says of the servers."""
    (proxy,) = json.loads(forebay.command("status", "--json").out)["proxies"]
    return proxy["servers"]


def is_up(forebay: Forebay, server: Postgres) -> bool:
    found = state(forebay)
    return bool(found["state"] == "UP" and found["writer"] == f"{server.host}:{server.port}")


def page(forebay: Forebay, path: str) -> str:
    with urllib.request.urlopen(f"{forebay.page}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def metric(forebay: Forebay, name: str) -> float:
    (line,) = (
        each for each in page(forebay, "/metrics").splitlines() if each.startswith(f"{name}{{")
    )
    return float(line.rpartition(" ")[2])


def events(forebay: Forebay) -> str:
    return "\n".join(each["text"] for each in json.loads(page(forebay, "/api/events"))["events"])


def console(forebay: Forebay, command: str) -> list[dict[str, Any]]:
    with psycopg.connect(forebay.dsn(database="forebay"), autocommit=True) as connection:
        found = connection.execute(command.encode())
        names = [each.name for each in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def writing(forebay: Forebay, told: list[tuple[int, int]]) -> Load:
    """Clients that write, each turn once alone and once in a transaction. ``told``: what was
    acknowledged."""
    connections: dict[int, psycopg.Connection[Any]] = {}
    turns = dict.fromkeys(range(CLIENTS), 0)

    def turn(number: int) -> None:
        connection = connections.get(number)
        if connection is None or connection.closed:
            connection = psycopg.connect(forebay.dsn(), autocommit=True)
            connections[number] = connection
        turns[number] += 1
        row = (number, turns[number])
        connection.execute("INSERT INTO written VALUES (%s, %s)", row)
        told.append(row)
        with connection.transaction():
            turns[number] += 1
            row = (number, turns[number])
            connection.execute("INSERT INTO written VALUES (%s, %s)", row)
        told.append(row)

    def close() -> None:
        for each in connections.values():
            each.close()

    return Load(CLIENTS, turn, close)


def written(server: Postgres) -> list[tuple[int, int]]:
    rows = server.sql("SELECT client, turn FROM written", database=ADMIN)
    return [(int(client or ""), int(turn or "")) for client, turn in rows]


def test_a_pause_ends_with_the_switchover(pair: Pair, watching: Forebay) -> None:
    told: list[tuple[int, int]] = []
    load = writing(watching, told)
    with under_load(load):
        load.go_on()
        paused = watching.command("pause")
        assert (paused.code, paused.out) == (0, "Paused: no connection is left\n")
        old, new = pair.writer, pair.promote()
        load.go_on()
        eventually(lambda: is_up(watching, new), "the new one writes")
        found = state(watching)
        assert [each["role"] for each in found["servers"]] == ["UNKNOWN", "READ_WRITE"]
        assert found["servers"][0]["reason"] == "FENCED"
    assert sorted(written(new)) == sorted(told)
    address = f"{new.host}:{new.port}"
    assert f"{address} writes" in events(watching)
    assert [
        metric(watching, f"forebay_{name}")
        for name in ("target_state", "target_epoch", "target_switches_total", "servers_fenced")
    ] == [0, 2, 1, 1]
    assert metric(watching, "forebay_target_available") == 1
    assert f'forebay_database_connections{{proxy="app",target="{address}"' in page(
        watching, "/metrics"
    )
    for shown in ("SHOW DATABASES", "SHOW SERVERS"):
        rows = console(watching, shown)
        ports = {str(row.get("port")) for row in rows}
        assert ports == {str(new.port)}, (shown, rows)
    old.stop()


def test_a_pause_that_stays(pair: Pair, watching: Forebay) -> None:
    assert watching.command("pause", "--stay").code == 0
    new = pair.promote()
    eventually(lambda: is_up(watching, new), "the new one writes")
    (proxy,) = json.loads(watching.command("status", "--json").out)["proxies"]
    assert proxy["paused"] == [""]
    with psycopg.connect(watching.dsn(), autocommit=True) as client, ThreadPoolExecutor() as pool:
        waits = pool.submit(client.execute, "INSERT INTO written VALUES (1, 1)")
        eventually(lambda: metric(watching, "forebay_clients_waiting") == 1, "a client waits")
        assert watching.command("resume").code == 0
        waits.result(60)
    assert written(new) == [(1, 1)]


def test_a_callback_of_patronis(pair: Pair, watching: Forebay) -> None:
    arguments = ("patroni-callback", "on_role_change", "primary", "batman")
    place = ("--config", str(watching.config))
    found = run_command(*arguments, *place)
    assert (found.code, found.out, found.err) == (
        0,
        "Forebay looks for the writer of app\n",
        "",
    )
    watching.wait_for_log("Patroni: on_role_change primary batman")
    watching.stop()
    assert run_command(*arguments, *place).code == 0
    assert run_command(*arguments, *place, "--strict").code == 1
    watching.start()


def test_requests_are_held_and_the_node_stays_ready(pair: Pair, watching: Forebay) -> None:
    pair.writer.stop()
    eventually(lambda: state(watching)["state"] == "HOLD", "it is on hold")
    eventually(lambda: metric(watching, "forebay_target_available") == 0, "it is not available")
    assert page(watching, "/readyz") == "ok\nproxies.app: HOLD: requests wait\n"
    assert metric(watching, "forebay_target_state") == 2
    assert "HOLD: " in events(watching)
    assert "HOLD for" in watching.command("top").out
    new = pair.promote()
    eventually(lambda: is_up(watching, new), "the new one writes")
    eventually(lambda: metric(watching, "forebay_target_available") == 1, "it is available")
    assert metric(watching, "forebay_target_hold_time_seconds_total") > 0
    assert metric(watching, "forebay_target_last_switch_hold_time_seconds") > 0
    assert page(watching, "/readyz") == "ok\n"


def test_check_asks_each_server(pair: Pair, watching: Forebay) -> None:
    watching.stop()  # it has the addresses

    def checked(code: int) -> dict[str, Any]:
        found = run_command("check", "--json", str(watching.config))
        assert found.code == code, found.out
        (proxy,) = json.loads(found.out)["proxies"]
        return dict(proxy)

    def told(proxy: dict[str, Any], text: str) -> bool:
        return any(text in each for each in [*proxy["warnings"], *proxy["problems"]])

    proxy = checked(0)
    assert [each["server"]["role"] for each in proxy["servers"]] == ["READ_WRITE", "READ_ONLY"]
    assert len({each["system_id"] for each in proxy["servers"]}) == 1
    assert proxy["servers"][1]["standing"]["is_following"]
    assert not told(proxy, "asynchronous")
    old, _ = pair.writer, pair.promote()
    proxy = checked(0)
    assert told(proxy, "which is over")
    assert told(proxy, "nothing can take over")
    old.stop()
    proxy = checked(0)
    assert told(proxy, "accepts no connections")
    pair.writer.stop()
    assert told(checked(1), "No server is known to write")


def test_hosts_come_and_go_under_load(pair: Pair, watching: Forebay) -> None:
    told: list[tuple[int, int]] = []
    load = writing(watching, told)
    one, both = pair.hosts[:1], pair.hosts
    with under_load(load):
        for hosts in (one, both, both[::-1], [*both, "127.0.0.1:9"], both, one, both):
            watching.reload(target={"hosts": hosts})
            load.go_on()
            if len(hosts) > 1:
                eventually(lambda: is_up(watching, pair.writer), "who writes is known")
            load.go_on()
    assert sorted(written(pair.writer)) == sorted(told)
