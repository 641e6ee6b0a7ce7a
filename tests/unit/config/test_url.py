"""URLs are read as libpq reads them; psycopg's conninfo_to_dict is libpq's own parser."""

from urllib.parse import quote

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from forebay.config import ConfigError, from_url
from forebay.config.addresses import Address
from forebay.config.url import DatabaseUrl, parse_url
from tests.harness.credentials import credential
from tests.harness.gathering import gathered

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
HOSTS = st.lists(
    st.tuples(
        st.sampled_from(["db", "db.example.org", "10.1.2.3", "::1", "/run/postgresql", ""]),
        st.none() | st.integers(1, 65535),
    ),
    min_size=1,
    max_size=3,
)


def write_host(host: str, port: int | None) -> str:
    text = f"[{host}]" if ":" in host else quote(host, safe="")
    return text if port is None else f"{text}:{port}"


@given(TEXT, TEXT, TEXT, HOSTS)
def test_any_url_is_read_as_libpq_reads_it(
    user: str, password: str, database: str, hosts: list[tuple[str, int | None]]
) -> None:
    user_text, password_text, database_text = (
        quote(text, safe="") for text in (user, password, database)
    )
    places = ",".join(write_host(*each) for each in hosts)
    url = f"postgresql://{user_text}:{password_text}@{places}/{database_text}?sslmode=require"
    ours = parse_url(url)
    assert (ours.user, ours.password, ours.database) == (user, password, database)
    assert list(ours.addresses) == [Address(h or "localhost", p or 5432) for h, p in hosts]
    theirs = conninfo_to_dict(url)
    assert theirs["user"] == user
    assert theirs["password"] == password
    assert theirs["dbname"] == database


@given(st.text("ab1%@:/?#[],&=2F+.", max_size=30))
def test_what_libpq_refuses_is_refused(rest: str) -> None:
    """And nothing but ValueError comes out of any text. (Spaces: libpq 17 trims them.)"""
    url = f"postgresql://{rest}"
    try:
        ours: DatabaseUrl | None = parse_url(url)
    except ValueError:
        return
    assert ours is not None
    try:
        theirs = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        pytest.fail(f"{url!r} is read, libpq says: {error}")
    assert theirs.get("user", "") == ours.user
    assert theirs.get("password", "") == ours.password
    assert (theirs.get("dbname") or ours.user) == ours.database


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h", [Address("h", 5432)]),
        ("postgresql://u:p@/db", [Address("localhost", 5432)]),
        ("postgresql://u:p@h1,h2:99/db", [Address("h1", 5432), Address("h2", 99)]),
        ("postgresql://u:p@[::1]:7/db", [Address("::1", 7)]),
        ("postgresql://u:p@%2Frun%2Fpg:7/db", [Address("/run/pg", 7)]),
        ("postgresql://u:p@/db?host=/run/pg&port=7", [Address("/run/pg", 7)]),
        ("postgresql://u:p@/db?host=a,b&port=7", [Address("a", 7), Address("b", 7)]),
        ("postgresql:///db?user=u&password=p&host=a", [Address("a", 5432)]),
    ],
)
def test_hosts(url: str, expected: list[Address]) -> None:
    parsed = parse_url(url)
    assert list(parsed.addresses) == expected
    assert (parsed.user, parsed.password) == ("u", "p")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:hunter2@h:port/db", "a port that is not a number"),
        ("postgresql://u:hunter2@h:0/db", "a port that is not a number"),
        ("postgresql://u:hunter2%zz@h/db", "a % in its password"),
        ("postgresql://u:hunter2%00@h/db", "zero byte"),
        ("postgresql://u:hunter2%ff@h/db", "not UTF-8"),
        ("postgresql://u:hunter2\udcff@h/db", "not UTF-8"),
        ("postgresql://u:p@hunter2@h/db", "a host that is none"),
        ("postgresql://u:p/hunter2@h/db", "port"),
        ("postgresql://u:p@[::1/db", "malformed"),
        ("postgresql://u:p@[::1]x/db", "unexpected"),
        ("postgresql://u:p@h/db?sslmode", "not name=value"),
        ("postgresql://u:p@h/db?hunter2=1", "a parameter that Forebay doesn't take"),
        ("postgresql://u:p@h/db?application_name=x", "the parameter application_name"),
        ("postgresql://u:p@a,b/db?port=1,2,3", "2 hosts but 3 ports"),
        ("postgresql://:hunter2@h/db", "no user"),
        ("postgresql://u@h/db", "no password"),
        ("postgresql://u@h/db?auth_scheme=SECRETS", "no password"),
        ("postgresql://h/db?auth_scheme=IAM_AUTH", "no user"),
        ("postgresql://u:p@h/db?auth_scheme=IAM", 'auth_scheme: is "IAM"; it must be one of'),
        ("postgresql://u:p@h/db?sslmode=hunter2x", "sslmode"),
        ("postgresql://u:p@h/db?connect_timeout=x", "connect_timeout"),
        ("mysql://u:hunter2@h/db", "must start with postgresql://"),
    ],
)
def test_what_is_wrong_is_told_without_the_password(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_url(url, {})
    assert said in str(caught.value)
    if "hunter2x" not in url:
        assert "hunter2" not in str(caught.value)


def test_the_configuration_of_a_url() -> None:
    config = from_url("postgresql://app%40x:p%20w@db:5433/shop?ssl=true&connect_timeout=3", {})
    proxy = config.proxies["default"]
    assert proxy.listen == "127.0.0.1:6432"
    assert proxy.target.hosts == ["db:5433"]
    assert proxy.target.sslmode == "require"
    assert proxy.target.connect_timeout == 3
    assert proxy.target.database == "shop"
    assert "p w" not in repr(config)
    assert gathered(config, {})["default"].credentials == [credential("app@x", "p w")]


def test_the_password_may_come_from_the_environment() -> None:
    config = from_url("postgresql://u@h/db", {"PGPASSWORD": "hunter2"})
    (found,) = gathered(config, {})["default"].credentials
    assert found.passwords == ("hunter2",)


def test_a_password_from_the_environment_that_cannot_be_used() -> None:
    with pytest.raises(ConfigError, match="PGPASSWORD is not UTF-8") as caught:
        from_url("postgresql://u@h/db", {"PGPASSWORD": "hunter2\udcff"})
    assert "hunter2" not in str(caught.value)


SIDECAR = "postgresql://app_user@db.abc.eu-west-1.rds.amazonaws.com/app?auth_scheme=IAM_AUTH"


def test_a_sidecar() -> None:
    """No password anywhere: tokens of Forebay's own role, and clients on the same machine."""
    config = from_url(SIDECAR, {})
    assert not config.given_secrets
    proxy = config.proxies["default"]
    assert (proxy.listen, proxy.require_tls) == ("127.0.0.1:6432", False)
    assert proxy.target.sslmode == "require"
    assert proxy.target.database == "app"
    (auth,) = proxy.auth
    assert (auth.username, auth.secret) == ("app_user", "")
    assert (auth.auth_scheme, auth.client_auth) == ("IAM_AUTH", "trust")
    (found,) = gathered(config, {})["default"].credentials
    assert (found.auth, found.auth_scheme, found.passwords) == ("trust", "IAM_AUTH", ())


def test_the_sslmode_of_a_sidecar_is_the_urls() -> None:
    config = from_url(f"{SIDECAR}&sslmode=verify-full&sslrootcert=system", {})
    assert config.proxies["default"].target.sslmode == "verify-full"


@pytest.mark.parametrize("listen", ["0.0.0.0:6432", ":6432", "db.internal:6432"])
def test_a_sidecar_listens_where_only_its_machine_comes(listen: str) -> None:
    with pytest.raises(ConfigError, match="only on Unix sockets and loopback addresses"):
        from_url(SIDECAR, {"FOREBAY_LISTEN": listen})


def test_a_sidecar_with_a_password() -> None:
    """The password is then what clients show."""
    for url, environ in (
        (SIDECAR.replace("app_user@", "app_user:p@"), {}),
        (SIDECAR, {"PGPASSWORD": "p"}),
    ):
        config = from_url(url, environ)
        assert config.proxies["default"].require_tls
        (found,) = gathered(config, {})["default"].credentials
        assert (found.auth, found.auth_scheme) == ("scram-sha-256", "IAM_AUTH")
        assert found.passwords == ("p",)


def test_variables_go_before_the_url() -> None:
    config = from_url("postgresql://u:p@h/db", {"FOREBAY_LISTEN": ":7000"})
    assert config.proxies["default"].listen == [":7000"]


def test_the_repr_has_no_password() -> None:
    assert "hunter2" not in repr(parse_url("postgresql://u:hunter2@h/db"))
