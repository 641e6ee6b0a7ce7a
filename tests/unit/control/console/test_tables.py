from dataclasses import replace

import pytest

from forebay.channel import PinRow, PoolFigures, ProxyFigures, ProxyView
from forebay.config.settings import LimitSettings, ProxySettings, TargetSettings
from forebay.control.console.stats import sample_of
from forebay.control.console.tables import COLUMNS, ROWS, Subject

FIGURES = ProxyFigures(
    target="db:5432",
    numbers={
        "client_connections": 12,
        "database_connections": 4,
        "max_database_connections_allowed": 40,
        "logins_under_way": 1,
    },
    pools=[
        PoolFigures(database="shop", user="b", clients=10, waiting=3, waited_s=2.5, opening=1),
        PoolFigures(database="shop", user="a", clients=2, connections=4, borrowed=3, idle=1),
    ],
)
PIN = PinRow(reason="LISTEN", digest="d", application="jobs", count=5, now=1, total_s=9.5, hint="h")
SUBJECT = Subject(
    settings=ProxySettings(
        target=TargetSettings(hosts=["db:5432"]),
        users={"b": LimitSettings(max_connections=7)},
        databases={"shop": LimitSettings(max_connections=9, max_client_connections=90)},
    ),
    figures=FIGURES,
    view=ProxyView(pins=[PIN]),
    users=["a", "c"],
    paused=frozenset({"shop"}),
    now=sample_of(FIGURES, 1010.0, 1000.0),
    before=None,
)


def shown(name: str, subject: Subject = SUBJECT) -> list[dict[str, str | None]]:
    columns = [column for column, _ in COLUMNS[name]]
    return [dict(zip(columns, row, strict=True)) for row in ROWS[name](subject)]


@pytest.mark.parametrize("name", ROWS)
def test_rows_have_the_columns_and_their_types(name: str) -> None:
    for row in ROWS[name](SUBJECT):
        for value, (_, kind) in zip(row, COLUMNS[name], strict=True):
            if value is not None and kind in ("int4", "int8"):
                int(value)
            elif value is not None and kind == "numeric":
                float(value)


def test_pools() -> None:
    one, other = shown("POOLS")
    assert (one["user"], other["user"]) == ("a", "b")
    assert (one["cl_active"], one["sv_active"], one["sv_idle"]) == ("2", "3", "1")
    assert (other["cl_active"], other["cl_waiting"], other["sv_login"]) == ("7", "3", "1")
    assert (other["maxwait"], other["maxwait_us"]) == ("2", "500000")


def test_databases() -> None:
    idle, shop = shown("DATABASES")
    assert (idle["name"], idle["current_connections"], idle["paused"]) == ("postgres", "0", "0")
    assert (shop["name"], shop["host"], shop["port"]) == ("shop", "db", "5432")
    assert (shop["pool_size"], shop["current_connections"]) == ("40", "4")
    assert (idle["max_connections"], idle["max_client_connections"]) == ("40", "10000")
    assert (shop["max_connections"], shop["max_client_connections"]) == ("9", "90")
    assert (shop["current_client_connections"], shop["paused"]) == ("12", "1")


def test_lists_and_users() -> None:
    lists = {row["list"]: row["items"] for row in shown("LISTS")}
    assert (lists["databases"], lists["users"], lists["pools"]) == ("2", "3", "2")
    assert (lists["used_clients"], lists["login_clients"]) == ("12", "1")
    assert (lists["free_servers"], lists["used_servers"]) == ("36", "4")
    users = {row["name"]: row["current_client_connections"] for row in shown("USERS")}
    assert users == {"a": "2", "b": "10", "c": "0"}
    limits = {row["name"]: row["max_user_connections"] for row in shown("USERS")}
    assert limits == {"a": "0", "b": "7", "c": "0"}


def test_state() -> None:
    state = {row["key"]: row["value"] for row in shown("STATE")}
    assert state == {"active": "yes", "paused": "no", "suspended": "no"}
    paused = replace(SUBJECT, paused=frozenset({""}))
    state = {row["key"]: row["value"] for row in shown("STATE", paused)}
    assert state["paused"] == "yes"
    assert {row["paused"] for row in shown("DATABASES", paused)} == {"1"}


def test_pins_and_version() -> None:
    (pin,) = shown("PINS")
    assert (pin["reason"], pin["now"], pin["total_time"], pin["hint"]) == (
        "LISTEN",
        "1",
        "9.500",
        "h",
    )
    (row,) = shown("VERSION")
    assert str(row["version"]).startswith("Forebay ")
