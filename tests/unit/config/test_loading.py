"""Files: what is right is read, and everything that is wrong is told at once."""

from pathlib import Path

import pytest

from forebay.config import Config, ConfigError, from_environment, load, load_any
from forebay.config.settings import Hidden, LimitSettings

MINIMAL = """
[proxies.app]
[[proxies.app.auth]]
secret = "file:secrets/app.json"
[proxies.app.target]
hosts = ["db:5432"]
"""

FROM_THE_DESIGN = """
[node]
control_listen = "127.0.0.1:6480"
[proxies.app]
listen = "127.0.0.1:6432"
require_tls = true
tls_certificate = "server.crt"
tls_private_key = "server.key"
idle_client_timeout = 1800
pinning = "minimal"
debug_logging = false
[[proxies.app.auth]]
secret = "file:secrets/app_user.json"
iam_auth = "DISABLED"
[proxies.app.target]
hosts = ["127.0.0.1:5432"]
sslmode = "prefer"
[proxies.app.pool]
max_connections_percent = 90
max_idle_connections_percent = 50
connection_borrow_timeout = 120
init_query = ""
session_pinning_filters = []
"""


def read(folder: Path, text: str, **environ: str) -> Config:
    path = folder / "forebay.toml"
    path.write_text(text)
    return load(path, environ)


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, **environ)
    prefix = f"{folder / 'forebay.toml'}: "
    return [str(each).removeprefix(prefix) for each in caught.value.problems]


def test_the_documented_example(tmp_path: Path) -> None:
    proxy = read(tmp_path, FROM_THE_DESIGN).proxies["app"]
    assert proxy.pool.max_connections_percent == 90
    assert proxy.pool.max_idle_connections_percent == 50
    assert proxy.idle_client_timeout == 1800
    assert proxy.target.hosts == ["127.0.0.1:5432"]


def test_defaults_are_rds_proxys(tmp_path: Path) -> None:
    proxy = read(tmp_path, MINIMAL).proxies["app"]
    assert proxy.pool.max_connections_percent == 100
    assert proxy.pool.max_idle_connections_percent == 50
    assert proxy.pool.connection_borrow_timeout == 120
    assert proxy.idle_client_timeout == 1800
    assert proxy.max_client_age == proxy.pool.max_connection_age == 86_400
    assert proxy.require_tls


def test_the_idle_percentage_follows_the_maximum(tmp_path: Path) -> None:
    text = MINIMAL + "[proxies.app.pool]\nmax_connections_percent = 31"
    assert read(tmp_path, text).proxies["app"].pool.max_idle_connections_percent == 15


def test_the_control_token_is_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    for given, meant in (
        ("file:token", f"file:{tmp_path}/token"),
        ("file:/run/token", "file:/run/token"),
        ("env:TOKEN", "env:TOKEN"),
    ):
        path.write_text(f"node = {{control_token = {given!r}}}\n{MINIMAL}")
        assert load(path, {}).node.control_token == meant


def test_the_control_socket_is_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "forebay.toml"
    for given, meant in (("c.sock", f"{tmp_path}/c.sock"), ("/run/c", "/run/c"), ("", "")):
        path.write_text(f"node = {{control_socket = {given!r}}}\n{MINIMAL}")
        assert load(path, {}).node.control_socket == meant
    path.write_text(MINIMAL)
    assert load(path, {}).node.control_socket is None


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = FROM_THE_DESIGN.replace('"prefer"', '"verify-full"\nsslrootcert = "ca.pem"')
    proxy = read(tmp_path, text).proxies["app"]
    assert proxy.tls_certificate == str(tmp_path / "server.crt")
    assert proxy.tls_private_key == str(tmp_path / "server.key")
    assert proxy.auth[0].secret == f"file:{tmp_path}/secrets/app_user.json"
    assert proxy.target.sslrootcert == str(tmp_path / "ca.pem")


def test_system_roots_are_no_path(tmp_path: Path) -> None:
    text = FROM_THE_DESIGN.replace('"prefer"', '"verify-full"\nsslrootcert = "system"')
    assert read(tmp_path, text).proxies["app"].target.sslrootcert == "system"


KEYS = [
    # section, line, what is said
    (
        "",
        "idle_client_timeout = 0",
        "idle_client_timeout: is 0; it must be a number from 1 to 28800",
    ),
    ("", "idle_client_timeout = 28801", "from 1 to 28800"),
    ("", 'idle_client_timeout = "5m"', 'is "5m"; it must be a number'),
    ("", "idle_client_timeout = nan", "is nan; it must be a number"),
    ("", "idle_client_timeout = 2020-01-01", "is a date; it must be a number"),
    ("pool", "init_query = \"SET a.b = 'caf\u00e9'\"", "init_query: is not plain ASCII"),
    ("", "require_tls = 1", "require_tls: is 1; it must be true or false"),
    ("", 'pinning = "none"', 'pinning: is "none"; it must be one of "minimal", "rds"'),
    ("", 'tls_certificate = "x"', "tls_private_key: is missing while tls_certificate is set"),
    ("", 'tls_private_key = "x"', "tls_certificate: is missing while tls_private_key is set"),
    ("", "listen = 6432", "it must be a string or a list, each item a string"),
    ("", 'listen = "::1"', "listen: '::1': an IPv6 address needs brackets"),
    ("", "listen = []", "listen: is an empty list"),
    ("", 'listen = ["h:1", "h:1"]', "listen: names an address twice"),
    ("", "lisen = 1", "lisen: is not a known key; did you mean listen?"),
    ("", "max_client_connections = 0", "from 1 to 1000000"),
    ("", "login_timeout = 0", "a number above 0 up to 300"),
    (
        "",
        'session_functions = {f = "SETING"}',
        'session_functions.f: is "SETING"; it must be one of "ADVISORY_LOCK", "CURSOR", ',
    ),
    ("", 'session_functions = {f = "SETING"}', '"TEMPORARY_OBJECT"; did you mean SETTING?'),
    ("", 'session_functions = {"a.f" = "none"}', 'session_functions."a.f": is "none"; it must be'),
    ("", "session_functions = {f = 1}", "session_functions.f: is 1; it must be one of"),
    ("", 'session_functions = {a.f = "NONE"}', "is a table; it must be one of"),
    ("", 'session_functions = {a.f = "NONE"}', 'a name with a dot in it is quoted: "a.…"'),
    ("", 'session_functions = ["f"]', "it must be a table of names, each with one of"),
    ("", 'session_functions = {"f()" = "NONE"}', "f(): is no name of a function: write NAME or"),
    ("", 'session_functions = {"größe" = "NONE"}', "größe: can't be looked for"),
    ("", 'session_functions = {f = "NONE", F = "NONE"}', "F: is the same function as f"),
    ("", 'session_settings = ["work_mem"]', "[0]: 'work_mem' has no dot in its name"),
    ("", 'session_settings = ["a.b", "a.b c"]', "[1]: 'a.b c' is no name of a setting"),
    ("", f'session_settings = ["a.{"b" * 255}"]', "of at most 256 ASCII characters"),
    ("", 'session_settings = "a.b"', "it must be a list, each item a string"),
    ("target", 'sslmode = "on"', "target.sslmode"),
    ("target", 'sslmode = "verify-ca"', 'target.sslrootcert: is missing; sslmode = "verify-ca"'),
    ("target", 'sslrootcert = "system"', 'target.sslmode: must be "verify-full" when'),
    ("target", "connect_timeout = 0", "a number above 0 up to 300"),
    ("pool", "max_connections_percent = 0", "is 0; it must be a whole number from 1 to 100"),
    ("pool", "max_connections_percent = 101", "from 1 to 100"),
    ("pool", "max_connections_percent = 90.5", "is 90.5; it must be a whole number"),
    ("pool", "max_idle_connections_percent = -1", "from 0 to 100"),
    ("pool", "connection_borrow_timeout = 301", "a number from 0 to 300"),
    ("pool", "connection_borrow_timeout = -0.1", "a number from 0 to 300"),
    ("pool", 'session_pinning_filters = ["ALL"]', 'each item one of "EXCLUDE_VARIABLE_SETS"'),
    ("pool", "max_connections = 0", "is 0; it must be a whole number from 1 to 262143"),
    ("pool", "max_conections_percent = 3", "did you mean max_connections_percent?"),
    ("pool", "query_timeout = -1", "is -1; it must be a number from 0 to 86400"),
    ("", "users.app.max_connections = 0", "app.users.app.max_connections: is 0; it must be"),
    ("", "users.app.pool_size = 3", "app.users.app.pool_size: is not a known key"),
    ("", "users.app.max_conections = 3", "did you mean max_connections?"),
    ("", "users.app = 3", "app.users.app: is 3; it must be a table"),
    ("", "users = 3", "it must be a table of tables: [proxies.app.users.USER]"),
    ("", "databases.shop.query_wait_timeout = 0", "it must be a number above 0 up to 86400"),
    ("pool", "MaxConnectionsPercent = 3", "did you mean max_connections_percent?"),
    (
        "pool",
        "max_connections_percent = 40\nmax_idle_connections_percent = 41",
        "is 41; it must be at most max_connections_percent, which is 40",
    ),
]


@pytest.mark.parametrize(("section", "line", "said"), KEYS, ids=[line for _, line, _ in KEYS])
def test_a_wrong_key(tmp_path: Path, section: str, line: str, said: str) -> None:
    header = {"": "[proxies.app]", "target": '[proxies.app.target]\nhosts = ["db:5432"]'}
    text = MINIMAL
    if section == "pool":
        text += f"[proxies.app.pool]\n{line}\n"
    else:
        old = header[section]
        text = text.replace(old, f"{old}\n{line}")
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith("proxies.app")
    assert said in found[0]


def test_the_smallest_and_largest_values_are_allowed(tmp_path: Path) -> None:
    text = MINIMAL.replace("[proxies.app]", "[proxies.app]\nidle_client_timeout = 28800")
    text += (
        "[proxies.app.pool]\nmax_connections_percent = 1\nmax_idle_connections_percent = 0\n"
        "connection_borrow_timeout = 0\n"
    )
    assert read(tmp_path, text).proxies["app"].pool.connection_borrow_timeout == 0


def test_limits_of_users_and_databases(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + """
    [proxies.app.users."a.b"]
    max_connections = 2
    query_timeout = 0
    [proxies.app.databases.shop]
    """
    )
    proxy = read(tmp_path, text).proxies["app"]
    assert proxy.users == {"a.b": LimitSettings(max_connections=2, query_timeout=0)}
    assert proxy.databases == {"shop": LimitSettings()}


def test_functions_and_settings_of_sessions(tmp_path: Path) -> None:
    text = """
    session_settings = ["app.tenant"]
    [proxies.app.session_functions]
    "app.take_lock" = "ADVISORY_LOCK"
    nextval = "NONE"
    """
    proxy = read(tmp_path, MINIMAL.replace("[proxies.app]", f"[proxies.app]{text}")).proxies["app"]
    assert proxy.session_functions == {"app.take_lock": "ADVISORY_LOCK", "nextval": "NONE"}
    assert proxy.session_settings == ["app.tenant"]


def test_lists_of_functions_and_settings_are_bounded(tmp_path: Path) -> None:
    functions = ", ".join(f'f{number} = "NONE"' for number in range(1001))
    names = ", ".join(f'"a.b{number}"' for number in range(101))
    text = f"session_functions = {{{functions}}}\nsession_settings = [{names}]"
    found = problems(tmp_path, MINIMAL.replace("[proxies.app]", f"[proxies.app]\n{text}"))
    assert [each.partition(": ")[2] for each in found] == [
        "has 1001 entries; at most 1000 are allowed",
        "has 101 items; at most 100 are allowed",
    ]


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ('"hunter2"', "must be file:PATH, env:NAME"),
        ('{username = "u", password = "hunter2"}', "of type dict (not shown)"),
        ('"file:"', "must be file:PATH, env:NAME"),
    ],
)
def test_a_secret_is_never_shown(tmp_path: Path, secret: str, said: str) -> None:
    (found,) = problems(tmp_path, MINIMAL.replace('"file:secrets/app.json"', secret))
    assert "auth[0].secret" in found
    assert said in found
    assert "hunter2" not in found


@pytest.mark.parametrize("auth", ['"hunter2"', '["hunter2"]', "[['hunter2']]"])
def test_what_stands_in_the_place_of_a_secret_is_never_shown(tmp_path: Path, auth: str) -> None:
    text = f'[proxies.app]\nauth = {auth}\ntarget = {{hosts = ["h"]}}\n'
    found = problems(tmp_path, text)
    assert any("(not shown); it must be a " in each for each in found)
    assert not any("hunter2" in each for each in found)


IAM = """
[proxies.app.iam]
verifier = "keys"
region = "us-east-1"
hosts = ["Db.example.com:6432", "db.example.com"]
access_keys = ["file:keys/dev.json", "file:/keys/ci.json", "env:FOREBAY_KEY"]
"""


@pytest.mark.parametrize("word", ["REQUIRED", "ENABLED"])
def test_iam_needs_a_verifier(tmp_path: Path, word: str) -> None:
    text = MINIMAL.replace("[proxies.app.target]", f'iam_auth = "{word}"\n[proxies.app.target]')
    (found,) = problems(tmp_path, text)
    assert f'auth[0].iam_auth: is "{word}", but nothing says how tokens are verified' in found
    path = tmp_path / "with.toml"
    path.write_text(text + IAM)
    proxy = load(path, {}).proxies["app"]
    assert proxy.auth[0].iam_auth == word
    assert proxy.iam is not None
    assert proxy.iam.host_names() == ["db.example.com:6432", "db.example.com:5432"]
    assert proxy.iam.access_keys == [
        f"file:{tmp_path}/keys/dev.json",
        "file:/keys/ci.json",
        "env:FOREBAY_KEY",
    ]


def test_an_access_key_is_never_shown(tmp_path: Path) -> None:
    text = MINIMAL + IAM.replace('["file:keys/dev.json"', '["hunter2"')
    (found,) = problems(tmp_path, text)
    assert "iam.access_keys[0]: must be file:PATH or env:NAME; the value is not shown" in found
    for wrong in ('"hunter2"', "[['hunter2']]"):
        text = MINIMAL + IAM.replace(IAM[IAM.index("access_keys") :], f"access_keys = {wrong}\n")
        (found,) = problems(tmp_path, text)
        assert "(not shown)" in found
        assert "hunter2" not in found


def test_a_table_that_is_empty_is_told_what_it_lacks(tmp_path: Path) -> None:
    found = problems(tmp_path, MINIMAL + "[proxies.app.iam]\n")
    (text,) = found
    assert "proxies.app.iam.verifier: is missing; it must be one of" in text


def test_everything_is_told_at_once(tmp_path: Path) -> None:
    text = """
    nodes = 1
    [node]
    drain_timeout = -1
    [proxies.app]
    idle_client_timeout = 0
    [[proxies.app.auth]]
    secret = "x"
    [proxies.app.target]
    hosts = ["a:b"]
    [proxies.-bad-]
    [proxies.App]
    listen = "127.0.0.1:6432"
    auth = [{secret = "file:a"}, {secret = "file:a"}]
    target = {hosts = []}
    """
    found = "\n".join(problems(tmp_path, text))
    for said in (
        "nodes: is not a known key; did you mean node?",
        "node.drain_timeout: is -1; it must be a number from 0 to 3600",
        "proxies.app.idle_client_timeout: is 0",
        "proxies.app.auth[0].secret: must be",
        "proxies.app.target.hosts[0]: 'a:b' has no number as its port",
        "proxies.-bad-: is no name that RDS Proxy allows",
        "proxies.-bad-.auth: is empty",
        "proxies.-bad-.target.hosts: is missing",
        "proxies.App.target.hosts: is empty",
        "proxies.App: differs from app only in the case",
        "proxies.App.listen: 127.0.0.1:6432 is taken by proxies.app",
        "proxies.App.auth[1].secret: is the same as that of auth[0]",
    ):
        assert said in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "proxies: is missing"),
        ("proxies = 1", "proxies: must be a table"),
        ("[proxies]\napp = 1", "proxies.app: is 1; it must be a table"),
        ("node = []\n" + MINIMAL, "node: is []; it must be a table"),
        (
            "[proxies.app]\ntarget = 1\nauth = 1",
            "auth: is a value of type int (not shown); it must be a list: [[proxies.app.auth]]",
        ),
        ("[proxies.app]\ntarget = 1\nauth = 1", "target: is 1; it must be a table"),
        (
            'node = {control_listen = "::1"}\n' + MINIMAL,
            "node.control_listen: '::1': an IPv6 address needs brackets",
        ),
        ("[proxies.app", "is not TOML"),
        ("x = " + "[" * 5000, "is nested too deeply"),
    ],
)
def test_a_file_of_another_shape(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in each for each in problems(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "absent", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=said):
            load(path, {})
    (tmp_path / "latin1").write_bytes(b"# \xe9")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin1", {})


def test_no_file_at_all() -> None:
    environ = {
        "FOREBAY_AUTH_0_SECRET": "env:APP",
        "FOREBAY_TARGET_HOSTS": "db1:5432, db2:5433",
        "FOREBAY_LISTEN": "[::1]:7000",
    }
    proxy = from_environment(environ).proxies["default"]
    assert proxy.target.hosts == ["db1:5432", "db2:5433"]
    assert proxy.listen == ["[::1]:7000"]
    assert proxy.auth[0].secret == "env:APP"


def test_what_serve_takes(tmp_path: Path) -> None:
    path = tmp_path / "forebay.toml"
    path.write_text(MINIMAL)
    url = "postgresql://u:p@h/db"
    assert load_any(str(path), {}).source == str(path)
    assert load_any(url, {}).source == "URL"
    assert load_any(None, {"FOREBAY_CONFIG": str(path)}).source == str(path)
    from_variable = load_any(None, {"FOREBAY_DATABASE_URL": url})
    assert from_variable.proxies["default"].target.hosts == ["h:5432"]
    with pytest.raises(ConfigError, match="proxies: is missing"):
        load_any(None, {})


def test_hidden_text_is_not_shown() -> None:
    hidden = Hidden("hunter2")
    assert "hunter2" not in f"{hidden} {hidden!r} {[hidden]}"
    assert hidden.reveal() == "hunter2"
    assert hidden == Hidden("hunter2")
    assert hidden != Hidden("x")


@pytest.mark.parametrize(
    ("listen", "target", "is_itself"),
    [
        ("127.0.0.1:6432", "127.0.0.1:6432", True),
        ("*:5432", "localhost:5432", True),
        ("0.0.0.0:5432", "127.0.0.1:5432", True),
        ("/run/forebay:5432", "/run/forebay:5432", True),
        ("127.0.0.1:6432", "127.0.0.1:5432", False),
        ("*:5432", "db.internal:5432", False),
        ("127.0.0.2:5432", "127.0.0.1:5432", False),
        ("*:5432", "/run/postgresql:5432", False),
    ],
)
def test_a_proxy_that_targets_itself(
    tmp_path: Path, listen: str, target: str, is_itself: bool
) -> None:
    text = f"""
    [proxies.app]
    listen = "{listen}"
    auth = [{{secret = "file:a"}}]
    target = {{hosts = ["{target}"]}}
    """
    if not is_itself:
        assert read(tmp_path, text).proxies["app"].target.hosts == [target]
        return
    said = f"proxies.app.target.hosts: {target} is where the proxy itself listens"
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(said)
