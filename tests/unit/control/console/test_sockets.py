import pytest

from forebay.channel import ClientRow, ConnectionRow
from forebay.config.addresses import Address
from forebay.control.console.sockets import (
    COLUMNS,
    HOLDER_COLUMNS,
    client_row,
    holder_row,
    holders,
    moment,
    place,
    server_row,
)

LOCAL = Address("127.0.0.1", 6432)
CLIENT = ClientRow(
    id=7,
    database="d",
    user="u",
    identity="i",
    application="web",
    address="10.0.0.1:999",
    tls="TLSv1.3",
    state="idle in transaction",
    state_s=2.5,
    connected_s=100.0,
    connection=70,
    statements=3,
)
SERVER = ConnectionRow(
    id=70,
    database="d",
    user="i",
    state="idle in transaction",
    state_s=2.5,
    held_s=4.0,
    opened_s=60.0,
    client=7,
    application="web",
    address="10.0.0.1:999",
    pins=["LISTEN", "CURSOR"],
)


def named(row: list[str | None]) -> dict[str, str | None]:
    return dict(zip([name for name, _ in COLUMNS], row, strict=True))


def test_a_client_and_its_connection_name_each_other() -> None:
    client, server = (
        named(client_row(CLIENT, LOCAL, 1000.0)),
        named(server_row(SERVER, LOCAL, 1000.0)),
    )
    assert (client["link"], client["ptr"]) == (server["ptr"], server["link"])
    assert client["ptr"] != server["ptr"]
    assert (client["type"], server["type"]) == ("C", "S")
    assert (client["state"], server["state"]) == ("active", "active")
    assert (client["addr"], client["port"]) == ("10.0.0.1", "999")
    assert (client["local_addr"], client["local_port"]) == ("127.0.0.1", "6432")
    assert client["connect_time"] == "1970-01-01 00:15:00 UTC"
    assert (client["wait"], client["prepared_statements"]) == ("0", "3")
    assert server["remote_pid"] == "70"


@pytest.mark.parametrize(
    ("state", "shown"), [("idle", "idle"), ("waiting", "waiting"), ("active", "idle")]
)
def test_states_of_clients_without_a_connection(state: str, shown: str) -> None:
    row = ClientRow(id=1, database="d", user="u", identity="u", state=state, state_s=1.25)
    found = named(client_row(row, LOCAL, 1000.0))
    assert (found["state"], found["link"], found["addr"]) == (shown, "", "unix")
    waited = ("1", "250000") if state == "waiting" else ("0", "0")
    assert (found["wait"], found["wait_us"]) == waited


@pytest.mark.parametrize(("state", "shown"), [("unused", "idle"), ("being cleaned", "tested")])
def test_states_of_connections_without_a_client(state: str, shown: str) -> None:
    row = ConnectionRow(id=1, database="d", user="u", state=state, is_retired=True)
    found = named(server_row(row, LOCAL, 1000.0))
    assert (found["state"], found["close_needed"], found["link"]) == (shown, "1", "")


@pytest.mark.parametrize(
    ("server", "place"),
    [
        ("10.0.0.9:5433", ("10.0.0.9", "5433")),
        ("[fe80::1]:5432", ("fe80::1", "5432")),
        ("", ("127.0.0.1", "6432")),
    ],
)
def test_a_connection_is_shown_where_it_leads(server: str, place: tuple[str, str]) -> None:
    row = ConnectionRow(id=1, database="d", user="u", state="unused", server=server)
    found = named(server_row(row, LOCAL, 1000.0))
    assert (found["addr"], found["port"]) == place


def test_holders_come_in_order() -> None:
    unused = ConnectionRow(id=1, database="d", user="u", state="unused")
    later = ConnectionRow(id=2, database="d", user="u", state="active", held_s=1.0)
    found = holders([unused, later, SERVER], 1000.0)
    assert [row[0] for row in found] == ["70", "2"]
    shown = dict(zip([name for name, _ in HOLDER_COLUMNS], found[0], strict=True))
    assert (shown["client"], shown["held_s"], shown["pins"]) == ("7", "4.000", "LISTEN, CURSOR")
    assert shown["held_since"] == "1970-01-01 00:16:36 UTC"
    assert holder_row(later, 0.0)[3] is None


def test_places() -> None:
    assert place("[::1]:5") == ("::1", "5")
    assert place("") == place("x") == ("unix", "0")
    assert moment(-5.0).startswith("1970")
