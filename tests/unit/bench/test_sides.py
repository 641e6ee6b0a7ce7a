import configparser
import tomllib
from pathlib import Path

import pytest

from bench.sides import Forebay, PgBouncer, Shape, SideError, environment
from bench.target import Target

DATABASE = Target("127.0.0.1", 5432, "app", "shop", tls=False, password="hidden")


def bouncer(version: str) -> PgBouncer:
    return PgBouncer(Path("/nowhere/pgbouncer"), version)


@pytest.mark.parametrize(
    ("version", "does"), [("1.18.0", False), ("1.21.0", True), ("1.25.2", True), ("unknown", False)]
)
def test_which_pgbouncer_shares_prepared_statements(version: str, does: bool) -> None:
    assert bouncer(version).multiplexes_prepared is does
    text = bouncer(version).configuration(DATABASE, 1, Shape(False, False, 20), Path("/x"))
    assert ("max_prepared_statements" in text) is does


def test_pgbouncer_configuration() -> None:
    text = bouncer("1.25.2").configuration(DATABASE, 6543, Shape(True, False, 20), Path("/x"))
    parsed = configparser.ConfigParser()
    parsed.read_string(text)
    assert parsed["databases"]["*"] == "host=127.0.0.1 port=5432"
    settings = parsed["pgbouncer"]
    assert settings["pool_mode"] == "transaction"
    assert settings["default_pool_size"] == "20"
    assert settings["client_tls_sslmode"] == "require"
    assert settings["server_tls_sslmode"] == "disable"
    assert "hidden" not in text


def test_forebay_configuration() -> None:
    text = Forebay("0").configuration(DATABASE, 6543, Shape(True, True, 20), Path("/x"))
    proxy = tomllib.loads(text)["proxies"]["bench"]
    assert proxy["listen"] == "127.0.0.1:6543"
    assert proxy["require_tls"] is True
    assert proxy["tls_certificate"] == "/x/server.crt"
    assert proxy["auth"] == [{"secret": f"file:/x/{DATABASE.user}.json"}]
    assert proxy["target"] == {"hosts": ["127.0.0.1:5432"], "sslmode": "require"}
    assert proxy["pool"]["max_connections_percent"] == 20
    plain = Forebay("0").configuration(DATABASE, 6543, Shape(False, False, 20), Path("/x"))
    assert tomllib.loads(plain)["proxies"]["bench"]["require_tls"] is False


def test_forebay_is_not_steered_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_NODE_LOG", "debug")
    monkeypatch.setenv("SOMETHING", "kept")
    assert "FOREBAY_NODE_LOG" not in environment()
    assert environment()["SOMETHING"] == "kept"


def test_a_named_pgbouncer_must_run(tmp_path: Path) -> None:
    with pytest.raises(SideError, match="cannot run PgBouncer"):
        PgBouncer.find(str(tmp_path / "absent"))


def test_a_named_pgbouncer_says_its_version(tmp_path: Path) -> None:
    program = tmp_path / "pgbouncer"
    program.write_text("#!/bin/sh\necho 'PgBouncer 1.25.2'\necho 'libevent 2.1'\n")
    program.chmod(0o755)
    found = PgBouncer.find(str(program))
    assert found is not None
    assert found.version == "1.25.2"


def test_targets_hide_the_password() -> None:
    assert "hidden" not in repr(DATABASE)
    elsewhere = DATABASE.at(6543, tls=True)
    words = elsewhere.libpq_environment()
    assert (words["PGPORT"], words["PGSSLMODE"], words["PGDATABASE"]) == ("6543", "require", "shop")
    assert DATABASE.libpq_environment()["PGSSLMODE"] == "disable"
