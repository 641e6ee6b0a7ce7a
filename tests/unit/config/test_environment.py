from pathlib import Path

import pytest

from forebay.config import Config, ConfigError, LimitSettings, ProxySettings, load
from forebay.config.environment import variable
from forebay.config.reading import leaves
from forebay.config.settings import NodeSettings

ONE = """
[proxies.app]
[[proxies.app.auth]]
secret = "env:FOREBAY_APP_USER"
[proxies.app.target]
hosts = ["db:5432"]
"""
TWO = ONE + ONE.replace("app", "app-pool") + '[proxies.app-pool.pool]\ninit_query = "SELECT 1"\n'


def read(folder: Path, text: str, environ: dict[str, str]) -> Config:
    (folder / "f.toml").write_text(text)
    return load(folder / "f.toml", environ)


def problems(folder: Path, text: str, environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, environ)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("POOL_MAX_CONNECTIONS_PERCENT", "70", "pool.max_connections_percent", 70),
        ("POOL_CONNECTION_BORROW_TIMEOUT", "0.5", "pool.connection_borrow_timeout", 0.5),
        ("POOL_MAX_CONNECTIONS", "70", "pool.max_connections", 70),
        ("POOL_INIT_QUERY", "SET a = 1, b", "pool.init_query", "SET a = 1, b"),
        ("REQUIRE_TLS", "off", "require_tls", False),
        ("REQUIRE_TLS", "True", "require_tls", True),
        ("LISTEN", "127.0.0.1:1,[::1]:1", "listen", ["127.0.0.1:1", "[::1]:1"]),
        ("LISTEN", "[::1]:1", "listen", ["[::1]:1"]),
        ("TARGET_HOSTS", '["a:1", "b:2"]', "target.hosts", ["a:1", "b:2"]),
        ("TARGET_SSLMODE", "require", "target.sslmode", "require"),
        (
            "SESSION_SETTINGS",
            "app.tenant, app.shop",
            "session_settings",
            ["app.tenant", "app.shop"],
        ),
        ("SESSION_FUNCTIONS", '{"a.f": "NONE"}', "session_functions", {"a.f": "NONE"}),
        (
            "SESSION_FUNCTIONS",
            "a.f=SETTING, nextval = NONE",
            "session_functions",
            {"a.f": "SETTING", "nextval": "NONE"},
        ),
        ("TARGET_HOSTS", "", "target.hosts", ["db:5432"]),  # empty: not set
    ],
)
@pytest.mark.parametrize("prefix", ["FOREBAY_", "FOREBAY_PROXIES_APP_"])
def test_a_key(tmp_path: Path, prefix: str, name: str, text: str, key: str, value: object) -> None:
    found: object = read(tmp_path, ONE, {prefix + name: text}).proxies["app"]
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


def test_users_by_index(tmp_path: Path) -> None:
    environ = {
        "FOREBAY_AUTH_0_SECRET": "env:A",
        "FOREBAY_AUTH_1_SECRET": "env:B",
        "FOREBAY_AUTH_1_CLIENT_PASSWORD_AUTH_TYPE": "POSTGRES_MD5",
    }
    auth = read(tmp_path, ONE, environ).proxies["app"].auth
    assert [each.secret for each in auth] == ["env:A", "env:B"]
    assert auth[1].client_password_auth_type == "POSTGRES_MD5"
    assert "skips an index" in problems(tmp_path, ONE, {"FOREBAY_AUTH_2_SECRET": "env:B"})


LIMITS = """
[proxies.app.users.App-User]
max_connections = 3
[proxies.app.users.other]
max_connections = 4
"""


def test_limits_by_name(tmp_path: Path) -> None:
    """A name that the file has is meant by its capitals; any other is in small letters."""
    environ = {
        "FOREBAY_USERS_APP_USER_QUERY_TIMEOUT": "0.5",
        "FOREBAY_PROXIES_APP_USERS_QUERY_TIMEOUT_MAX_CONNECTIONS": "7",
        "FOREBAY_DATABASES_SHOP_MAX_CLIENT_CONNECTIONS": "9",
    }
    proxy = read(tmp_path, ONE + LIMITS, environ).proxies["app"]
    assert proxy.users == {
        "App-User": LimitSettings(max_connections=3, query_timeout=0.5),
        "other": LimitSettings(max_connections=4),
        "query_timeout": LimitSettings(max_connections=7),
    }
    assert proxy.databases == {"shop": LimitSettings(max_client_connections=9)}


def test_limits_that_fit_several_names(tmp_path: Path) -> None:
    text = ONE + LIMITS.replace("other", "app_user")
    said = problems(tmp_path, text, {"FOREBAY_USERS_APP_USER_QUERY_TIMEOUT": "1"})
    assert "FOREBAY_USERS_APP_USER_QUERY_TIMEOUT: fits several users: App-User, app_user" in said


def test_names_that_contain_each_other(tmp_path: Path) -> None:
    environ = {
        "FOREBAY_PROXIES_APP_LISTEN": ":1",
        "FOREBAY_PROXIES_APP_POOL_LISTEN": ":2",
        "FOREBAY_PROXIES_APP_POOL_INIT_QUERY": "of app",
        "FOREBAY_PROXIES_APP_POOL_POOL_INIT_QUERY": "of app-pool",
    }
    proxies = read(tmp_path, TWO, environ).proxies
    assert (proxies["app"].listen, proxies["app-pool"].listen) == ([":1"], [":2"])
    assert proxies["app"].pool.init_query == "of app"
    assert proxies["app-pool"].pool.init_query == "of app-pool"


def test_a_proxy_that_only_the_environment_knows(tmp_path: Path) -> None:
    environ = {
        "FOREBAY_PROXIES_THE_OTHER_LISTEN": ":7000",
        "FOREBAY_PROXIES_THE_OTHER_TARGET_HOSTS": "h",
        "FOREBAY_PROXIES_THE_OTHER_AUTH_0_SECRET": "env:X",
    }
    assert read(tmp_path, ONE, environ).proxies["the-other"].listen == [":7000"]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"FOREBAY_POOL_MAX_CONECTIONS_PERCENT": "1"},
            "is not a known variable; did you mean FOREBAY_POOL_MAX_CONNECTIONS_PERCENT?",
        ),
        (
            {"FOREBAY_PROXIES_APP_LISTN": "1"},
            "is not a known variable; did you mean FOREBAY_PROXIES_APP_LISTEN?",
        ),
        (
            {"FOREBAY_USERS_APP_QUERY_TIMOUT": "1"},
            "is not a known variable; did you mean FOREBAY_USERS_",
        ),
        (
            {"FOREBAY_USERS_APP_MAX_CONNECTIONS": "few"},
            "proxies.app.users.app.max_connections: is 'few'; it must be a whole number from 1",
        ),
        (
            {"FOREBAY_NODE_DRAIN_TIME": "1"},
            "is not a known variable; did you mean FOREBAY_NODE_DRAIN_TIMEOUT?",
        ),
        (
            {"FOREBAY_PROXIES_APP_POOL_MAX_CONNECTIONS_PERCENT": "200"},
            "PERCENT: proxies.app.pool.max_connections_percent: is 200; it must be a whole number",
        ),
        (
            {"FOREBAY_SESSION_FUNCTIONS": "a.f=SETTINGS"},
            'FOREBAY_SESSION_FUNCTIONS: proxies.app.session_functions."a.f": is "SETTINGS"; it',
        ),
        ({"FOREBAY_SESSION_FUNCTIONS": "a.f=SETTINGS"}, "did you mean SETTING?"),
        ({"FOREBAY_SESSION_FUNCTIONS": "a.f"}, 'is "a.f"; it must be a table of names, each with'),
        ({"FOREBAY_SESSION_FUNCTIONS": '{"a'}, "it must be a table of names, each with one of"),
        ({"FOREBAY_REQUIRE_TLS": "maybe"}, "is 'maybe'; it must be true or false"),
        ({"FOREBAY_PINNING": "\udcff"}, "FOREBAY_PINNING: is not UTF-8 text"),
        ({"FOREBAY_POOL_INIT_QUERY": "\udcff"}, "FOREBAY_POOL_INIT_QUERY: is not UTF-8 text"),
        ({"FOREBAY_LOGIN_TIMEOUT": "soon"}, "is 'soon'; it must be a number above 0 up to 300"),
    ],
)
def test_what_is_wrong(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    assert said in problems(tmp_path, ONE, environ)


def test_a_table_that_may_be_absent(tmp_path: Path) -> None:
    environ = {
        "FOREBAY_IAM_VERIFIER": "keys",
        "FOREBAY_IAM_REGION": "us-east-1",
        "FOREBAY_IAM_HOSTS": "a:1,b:2",
        "FOREBAY_IAM_ACCESS_KEYS": "env:FOREBAY_KEY,file:/k",
        "FOREBAY_KEY": "a key that is no setting",
    }
    iam = read(tmp_path, ONE, environ).proxies["app"].iam
    assert iam is not None
    assert (iam.hosts, iam.access_keys) == (["a:1", "b:2"], ["env:FOREBAY_KEY", "file:/k"])
    assert read(tmp_path, ONE, {}).proxies["app"].iam is None
    as_json = environ | {"FOREBAY_IAM_ACCESS_KEYS": '["env:FOREBAY_KEY"]'}
    iam = read(tmp_path, ONE, as_json).proxies["app"].iam
    assert iam is not None
    assert iam.access_keys == ["env:FOREBAY_KEY"]


def test_a_key_that_the_file_refers_to_is_no_setting(tmp_path: Path) -> None:
    text = (
        ONE
        + """
    [proxies.app.iam]
    verifier = "keys"
    region = "us-east-1"
    hosts = ["a:1"]
    access_keys = ["env:FOREBAY_KEY"]
    """
    )
    environ = {"FOREBAY_KEY": "a key that is no setting"}
    assert read(tmp_path, text, environ).proxies["app"].iam is not None


def test_the_short_form_needs_a_single_proxy(tmp_path: Path) -> None:
    said = problems(tmp_path, TWO, {"FOREBAY_LISTEN": ":1"})
    assert "does not say which proxy; write FOREBAY_PROXIES_APP_LISTEN" in said


def test_variables_that_are_no_settings(tmp_path: Path) -> None:
    environ = {
        "FOREBAY_LOG_FORMAT": "json",
        "FOREBAY_SERVICE_HOST": "10.0.0.1",
        "FOREBAY_SERVICE_PORT": "6432",
        "FOREBAY_SERVICE_PORT_POSTGRES": "6432",
        "FOREBAY_PORT": "tcp://10.0.0.1:6432",
        "FOREBAY_PORT_6432_TCP": "tcp://10.0.0.1:6432",
        "FOREBAY_PORT_6432_TCP_ADDR": "10.0.0.1",
        "FOREBAY_APP_USER": '{"username": "u", "password": "p"}',  # the file refers to it
        "FOREBAY_TEST_X": "1",
        "HOME": "/",
    }
    assert read(tmp_path, ONE, environ).proxies["app"].listen == "127.0.0.1:6432"


def test_the_control_token_may_be_in_a_variable_of_any_name(tmp_path: Path) -> None:
    given = {"FOREBAY_TOKEN": "hunter2"}
    for text, environ in (
        ('node = {control_token = "env:FOREBAY_TOKEN"}\n' + ONE, given),
        (ONE, given | {"FOREBAY_NODE_CONTROL_TOKEN": "env:FOREBAY_TOKEN"}),
    ):
        assert read(tmp_path, text, environ).node.control_token == "env:FOREBAY_TOKEN"


@pytest.mark.parametrize("name", ["FOREBAY_CONTROL_SOCKET", "FOREBAY_NODE_CONTROL_SOCKET"])
def test_the_control_socket_has_a_short_name_too(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, ONE, {name: "/run/c.sock"}).node.control_socket == "/run/c.sock"


ALL = [
    *(variable(("proxies", "app", *path)) for path, _ in leaves(ProxySettings)),
    *(variable(("node", *path)) for path, _ in leaves(NodeSettings)),
]


@pytest.mark.parametrize("name", ALL)
def test_every_key_has_a_variable(tmp_path: Path, name: str) -> None:
    """It is recognised: what else there is to say is about its value."""
    environ = {name: "\x01 nonsense", "FOREBAY_NO_SUCH_KEY": "x"}
    assert problems(tmp_path, ONE, environ).count("is not a known variable") == 1
