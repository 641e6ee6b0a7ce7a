from forebay.config.settings import (
    AuthSettings,
    IamSettings,
    LimitSettings,
    ProxySettings,
    TargetSettings,
)
from forebay.control.console.settings import rows

SETTINGS = ProxySettings(
    target=TargetSettings(hosts=["db:5432"], sslkey="/secret/key"),
    max_client_connections=50,
    admin_users=["ops", "root"],
    tls_private_key="/secret/other",
    auth=[AuthSettings(secret="file:/secret/user")],
    auth_query="SELECT secret",
    iam=IamSettings(verifier="keys", access_keys=["file:/secret/keys"]),
    session_functions={"f": "NONE"},
    users={"app": LimitSettings(max_connections=7)},
)


def test_what_pgbouncers_tools_look_for() -> None:
    found = {row[0]: row for row in rows(SETTINGS)}
    assert found["max_client_conn"][1] == "50"
    assert found["max_user_connections"][1] == "0"
    assert found["admin_users"][1:] == ["ops, root", "", "yes"]


def test_all_settings_with_their_defaults() -> None:
    found = {row[0]: row[1:] for row in rows(SETTINGS)}
    assert found["pool.max_connections_percent"] == ["100", "100", "yes"]
    assert found["target.hosts"] == ["db:5432", None, "yes"]
    assert found["require_tls"] == ["1", "1", "yes"]
    assert found["tls_certificate"] == [None, None, "yes"]
    assert found["users.app.max_connections"] == ["7", None, "yes"]
    assert found["databases"] == ["", "", "yes"]
    assert found["session_functions"] == ["f: NONE", "", "yes"]
    assert found["pool.connection_borrow_timeout"] == ["120", "120", "yes"]
    assert len(found) == len(rows(SETTINGS))


def test_no_word_of_secrets() -> None:
    assert "secret" not in str(rows(SETTINGS))
