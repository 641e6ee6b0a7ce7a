"""Users of a userlist, and users whom only the database knows, with real drivers: by what their
passwords are known, and what happens when one changes, or can't be looked up."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.harness import Forebay, eventually
from tests.harness.drivers import DRIVERS, Door, RefusedError, by_psycopg
from tests.harness.login_server import BY_MD5, LoginServer

PASSWORD, LOOKUP = "päss wörd", "lookup-secret"
QUERY = "SELECT * FROM public.find_user($1)"
FUNCTION = """
CREATE FUNCTION public.find_user(name)
RETURNS TABLE (name name, password text, valid_until timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS
$$ SELECT rolname, rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = $1 AND rolcanlogin $$
"""
WRONG = "The password that was provided for the role {} is wrong."
NOBODY = "This RDS proxy has no credentials for the role {}."

pytestmark = pytest.mark.tls_server


@pytest.fixture(scope="module")
def server() -> Iterator[LoginServer]:
    with LoginServer() as server:
        server.postgres.create_user("u_scram", PASSWORD)
        server.postgres.create_user("u_md5", PASSWORD, encryption="md5")
        server.postgres.create_user("lookup", LOOKUP)
        server.postgres.sql(f"GRANT {BY_MD5} TO u_md5")
        server.postgres.sql(FUNCTION)
        yield server


@pytest.fixture
def user(server: LoginServer) -> Iterator[str]:
    """One of this test's own."""
    server.postgres.create_user("u_own", PASSWORD)
    yield "u_own"
    server.postgres.sql("DROP ROLE IF EXISTS u_own")


def door(forebay: Forebay, user: str, password: str = PASSWORD, **libpq: str) -> Door:
    return Door(forebay.port, user, password, forebay.ca_file, libpq=libpq)


def refusal(at: Door, by: Callable[[Door], str] = by_psycopg) -> str:
    with pytest.raises(RefusedError) as caught:
        by(at)
    return str(caught.value)


# ---- A userlist ----------------------------------------------------------------------------------


@pytest.fixture
def start(
    server: LoginServer, start_forebay: Callable[..., Forebay], tmp_path: Path
) -> Callable[..., Forebay]:
    """Starts a Forebay with a userlist: passwords by user, and what its entry says."""

    def start(users: dict[str, str], method: str = "POSTGRES_SCRAM_SHA_256") -> Forebay:
        path = tmp_path / "userlist.txt"
        path.write_text("".join(f'"{name}" "{each}"\n' for name, each in users.items()))
        entry = {"secret": f"userlist:{path}", "client_password_auth_type": method}
        database = server.database(next(iter(users)), "")
        return start_forebay(server.postgres.port, database, entries=[entry])

    return start


@pytest.mark.parametrize("known", ["plain", "stored"])
def test_a_userlist(start: Callable[..., Forebay], server: LoginServer, known: str) -> None:
    """Of u_scram "stored" is a verifier: no plain password is anywhere but with the client."""
    users = {"u_scram": PASSWORD, "u_md5": PASSWORD}
    if known == "stored":
        users = {name: server.stored(name) for name in users}
    forebay = start(users, "POSTGRES_MD5")
    for user in users:
        for by in DRIVERS.values():
            assert by(door(forebay, user)) == user
        method = "scram-sha-256" if users[user].startswith("SCRAM-") else "md5"
        assert by_psycopg(door(forebay, user, require_auth=method)) == user
        for by in DRIVERS.values():
            assert WRONG.format(user) in refusal(door(forebay, user, "wrong"), by)
        # What is stored is not the password.
        assert WRONG.format(user) in refusal(door(forebay, user, server.stored(user)))
    assert NOBODY.format("ghost") in refusal(door(forebay, "ghost"))
    assert PASSWORD not in forebay.text


def test_channel_binding_of_a_verifier(start: Callable[..., Forebay], server: LoginServer) -> None:
    forebay = start({"u_scram": server.stored("u_scram")})
    at = door(forebay, "u_scram", channel_binding="require")
    for driver in ("psql", "psycopg2", "psycopg"):
        assert DRIVERS[driver](at) == "u_scram"


def test_a_verifier_that_is_not_the_databases(
    start: Callable[..., Forebay], server: LoginServer, user: str
) -> None:
    """The client is right, and yet there is no way in: the log says why."""
    stored = server.stored(user)
    server.postgres.sql(f"ALTER ROLE {user} PASSWORD '{PASSWORD}'")  # another salt
    forebay = start({user: stored})
    said = refusal(door(forebay, user))
    assert "another SCRAM verifier" in said or forebay.wait_for_log("another SCRAM verifier")


def test_a_userlist_that_changes(
    start: Callable[..., Forebay], server: LoginServer, tmp_path: Path, user: str
) -> None:
    """While it runs: somebody comes, one has another password, and one is gone. A list with a
    broken line changes nothing."""
    forebay, path = start({"u_scram": PASSWORD, "lookup": LOOKUP}), tmp_path / "userlist.txt"
    assert by_psycopg(door(forebay, "lookup", LOOKUP)) == "lookup"
    server.postgres.sql("ALTER ROLE lookup PASSWORD 'another'")
    try:
        path.write_text(f'"lookup" "another"\n"{user}" "{server.stored(user)}"\n')
        eventually(lambda: logs_in(door(forebay, user)), "the new user is known")
        assert by_psycopg(door(forebay, user)) == user
        for password in ("another", LOOKUP):  # for a while, whoever has not heard of it yet
            assert by_psycopg(door(forebay, "lookup", password)) == "lookup"
        assert NOBODY.format("u_scram") in refusal(door(forebay, "u_scram"))
        path.write_text(f'"{user}" "{PASSWORD}"\n"lookup\n')
        forebay.wait_for_log("line 2 is not")
        assert by_psycopg(door(forebay, "lookup", "another")) == "lookup"
    finally:
        server.postgres.sql(f"ALTER ROLE lookup PASSWORD '{LOOKUP}'")


@pytest.mark.parametrize("overlap_s", [0, 300])
def test_a_mounted_directory_that_is_swapped(
    start_forebay: Callable[..., Forebay],
    server: LoginServer,
    tmp_path: Path,
    user: str,
    overlap_s: int,
) -> None:
    """As Kubernetes does it, by a link; the database has changed before."""
    secret = tmp_path / "secret"
    secret.mkdir()
    mount(secret, "one", user, PASSWORD)
    entry = {"secret": f"file:{secret}", "rotation_overlap": overlap_s}
    database = server.database(user, PASSWORD)
    forebay = start_forebay(server.postgres.port, database, entries=[entry])
    with psycopg.connect(**door(forebay, user).settings, autocommit=True) as connection:
        server.postgres.sql(f"ALTER ROLE {user} PASSWORD 'another'")
        mount(secret, "two", user, "another")
        eventually(lambda: logs_in(door(forebay, user, "another")), "the new password holds")
        assert logs_in(door(forebay, user)) is (overlap_s > 0)
        assert connection.execute("SELECT 1").fetchone() == (1,)


def mount(directory: Path, name: str, user: str, password: str) -> None:
    data = directory / f"..{name}"
    data.mkdir()
    (data / "username").write_text(user)
    (data / "password").write_text(f"{password}\n")
    (directory / "..new").symlink_to(data.name)
    (directory / "..new").replace(directory / "..data")
    for each in ("username", "password"):
        if not (directory / each).is_symlink():
            (directory / each).symlink_to(f"..data/{each}")


# ---- Users without secrets -----------------------------------------------------------------------


@pytest.fixture
def looking(server: LoginServer, start_forebay: Callable[..., Forebay]) -> Callable[..., Forebay]:
    """Starts a Forebay that looks users up."""

    def look(password: str = LOOKUP, query: str = QUERY) -> Forebay:
        return start_forebay(
            server.postgres.port,
            server.database("lookup", password),
            proxy={"auth_query": query, "auth_user": "lookup"},
        )

    return look


@pytest.mark.parametrize("user", ["u_scram", "u_md5"])
def test_who_has_no_secret_is_looked_up(looking: Callable[..., Forebay], user: str) -> None:
    forebay = looking()
    assert NOBODY.format("ghost") in refusal(door(forebay, "ghost"))
    for driver, by in DRIVERS.items():
        assert by(door(forebay, user)) == user
        assert WRONG.format(user) in refusal(door(forebay, user, "wrong"), by)
        if user == "u_scram" and driver != "asyncpg":
            assert by(door(forebay, user, channel_binding="require")) == user


def test_a_password_that_is_not_valid_any_more(
    looking: Callable[..., Forebay], server: LoginServer, user: str
) -> None:
    server.postgres.sql(f"ALTER ROLE {user} VALID UNTIL '2020-01-01'")
    forebay = looking()
    for by in DRIVERS.values():
        assert WRONG.format(user) in refusal(door(forebay, user), by)
    server.postgres.sql(f"ALTER ROLE {user} VALID UNTIL '2990-01-01'")
    eventually(lambda: logs_in(door(forebay, user)), "the password is valid again")


def test_passwords_that_change_and_users_who_go(
    looking: Callable[..., Forebay], server: LoginServer, user: str
) -> None:
    forebay = looking()
    with psycopg.connect(**door(forebay, user).settings, autocommit=True) as connection:
        server.postgres.sql(f"ALTER ROLE {user} PASSWORD 'another'")
        eventually(lambda: logs_in(door(forebay, user, "another")), "the new password holds")
        assert WRONG.format(user) in refusal(door(forebay, user))
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.postgres.sql(f"ALTER ROLE {user} NOLOGIN")
    eventually(lambda: not logs_in(door(forebay, user, "another")), "the user may not log in")
    assert NOBODY.format(user) in refusal(door(forebay, user, "another"))
    server.postgres.sql(f"ALTER ROLE {user} LOGIN")
    eventually(lambda: logs_in(door(forebay, user, "another")), "the user may log in again")
    server.postgres.sql(f"DROP ROLE {user}")
    eventually(lambda: not logs_in(door(forebay, user, "another")), "the user is gone")
    assert NOBODY.format(user) in refusal(door(forebay, user, "another"))


def logs_in(at: Door) -> bool:
    """Whether Forebay lets it in; the database is not asked anything."""
    try:
        psycopg.connect(**at.settings).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_query_that_fails(looking: Callable[..., Forebay], user: str) -> None:
    """Names are found in pg_catalog alone: others could have made something of that name."""
    forebay = looking(query="SELECT * FROM find_user($1)")
    assert NOBODY.format(user) in refusal(door(forebay, user))
    assert forebay.logged("auth_query failed: function find_user")
    assert by_psycopg(door(forebay, "lookup", LOOKUP)) == "lookup"


def test_who_runs_the_query_cannot_log_in(looking: Callable[..., Forebay], user: str) -> None:
    forebay = looking(password="wrong")
    assert NOBODY.format(user) in refusal(door(forebay, user))
    (line,) = forebay.logged("auth_query failed")
    assert 'password authentication failed for user \\"lookup\\"' in line
    path = forebay.directory / "user-0.json"
    path.write_text(json.dumps({"username": "lookup", "password": LOOKUP}))
    eventually(lambda: logs_in(door(forebay, user)), "the secret that was corrected is used")


def test_the_database_is_down_and_back(
    looking: Callable[..., Forebay], server: LoginServer, user: str
) -> None:
    forebay = looking()
    assert by_psycopg(door(forebay, user)) == user
    server.postgres.stop()
    try:
        eventually(lambda: not logs_in(door(forebay, user)), "nobody can be looked up")
        assert NOBODY.format(user) in refusal(door(forebay, user))
        assert forebay.logged("auth_query failed")
    finally:
        server.postgres.start()
    eventually(lambda: logs_in(door(forebay, user)), "the database is asked again")
    assert by_psycopg(door(forebay, user)) == user
