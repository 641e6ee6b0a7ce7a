"""The users of a proxy: configuration and secrets put together, through a rotation and back."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from forebay.channel import Credential, DatabaseLogin
from forebay.config import AuthSettings, Hidden, IamSettings, ProxySettings, TargetSettings
from forebay.identity.holding import Held
from forebay.identity.secrets import User
from forebay.node.users import Users, changed_users, method, users_of
from tests.harness.credentials import credential

TARGET = TargetSettings(hosts=["db:5432"])
SECRET = "secretsmanager:app"
LIST = "userlist:/etc/users"
NOW_S = 10_000.0


def proxy(*auth: AuthSettings, **settings: Any) -> ProxySettings:
    return ProxySettings(auth=list(auth), **({"target": TARGET} | settings))


def users(*pairs: tuple[str, str | None]) -> tuple[User, ...]:
    return tuple(User(name, None if text is None else Hidden(text)) for name, text in pairs)


def found(settings: ProxySettings, now_s: float = NOW_S, **held: Held) -> Users:
    """``held``: by the end of the source's name."""

    def look(source: str) -> Held:
        return held[source.rpartition(":")[2].rpartition("/")[2]]

    return users_of(settings, look, now_s)


def of(made: Users, name: str) -> Credential:
    (credential,) = (each for each in made.credentials if each.username == name)
    return credential


def logins(*pairs: tuple[str, str]) -> tuple[DatabaseLogin, ...]:
    return tuple(DatabaseLogin(*each) for each in pairs)


def test_a_user_with_a_password() -> None:
    made = found(proxy(AuthSettings(secret=SECRET)), app=Held(users(("app", "hush"))))
    assert made.credentials == [credential("app", "hush")]
    assert made.sources == {"app": SECRET}
    assert (made.changes_at_s, made.problems) == (None, [])
    assert "hush" not in repr(made)


def test_what_the_configuration_says_of_a_user_holds() -> None:
    auth = AuthSettings(
        secret=SECRET,
        iam_auth="ENABLED",
        client_password_auth_type="POSTGRES_MD5",
        clientcert="verify-full",
        clientcert_names=["App"],
        pool_identity="pool",
    )
    (made,) = found(proxy(auth), app=Held(users(("app", "x")))).credentials
    assert (made.auth, made.client_cert, made.cert_names) == ("iam-or-md5", "verify-full", ("App",))
    assert (made.identity, made.auth_scheme) == ("pool", "SECRETS")


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({}, "scram-sha-256"),
        ({"client_password_auth_type": "POSTGRES_MD5"}, "md5"),
        ({"iam_auth": "REQUIRED"}, "iam"),
        ({"iam_auth": "REQUIRED", "client_password_auth_type": "POSTGRES_MD5"}, "iam"),
        ({"iam_auth": "ENABLED"}, "iam-or-scram-sha-256"),
        ({"client_auth": "cert"}, "cert"),
        ({"client_auth": "trust"}, "trust"),
    ],
)
def test_how_clients_log_in(auth: dict[str, Any], expected: str) -> None:
    assert method(AuthSettings(secret=SECRET, **auth)) == expected


# ---- one user whose password rotates ----

ONE = AuthSettings(secret=SECRET, rotation_overlap=600.0)


def step(**versions: Any) -> tuple[Users, Credential]:
    made = found(proxy(ONE), app=Held(**versions))
    return made, of(made, "app")


def test_while_a_password_is_pending_either_may_be_shown_and_the_newest_is_tried_first() -> None:
    made, app = step(current=users(("app", "1")), pending=users(("app", "2")))
    assert app.passwords == ("2", "1")
    assert app.logins == logins(("app", "2"), ("app", "1"))
    assert made.changes_at_s is None


def test_after_it_has_moved_the_one_before_holds_for_the_overlap() -> None:
    versions = {"current": users(("app", "2")), "previous": users(("app", "1"))}
    made, app = step(**versions, changed_at_s=NOW_S - 100)
    assert app.passwords == ("2", "1")
    assert made.changes_at_s == NOW_S + 500
    made, app = step(**versions, changed_at_s=NOW_S - 600)
    assert app.passwords == ("2",)
    assert app.logins == logins(("app", "2"), ("app", "1")), "the database may be behind"
    assert made.changes_at_s is None


def test_the_earliest_of_several_changes_is_told() -> None:
    other = AuthSettings(secret="secretsmanager:jobs", rotation_overlap=60.0)

    def held(name: str) -> Held:
        return Held(users((name, "2")), users((name, "1")), changed_at_s=NOW_S - 10)

    for auth in ([ONE, other], [other, ONE]):
        made = found(proxy(*auth), app=held("app"), jobs=held("jobs"))
        assert made.changes_at_s == NOW_S + 50


# ---- two names that alternate ----

BOTH = {"current": users(("app_clone", "2")), "previous": users(("app", "1"))}


def test_each_name_has_connections_of_its_own() -> None:
    made = found(proxy(ONE), app=Held(**BOTH, changed_at_s=NOW_S))
    assert of(made, "app_clone").logins == logins(("app_clone", "2"))
    assert of(made, "app").logins == logins(("app", "1"))
    assert [each.identity for each in made.credentials] == ["app_clone", "app"]
    assert made.sources == {"app_clone": SECRET, "app": SECRET}


def test_they_share_connections_under_a_common_identity() -> None:
    auth = AuthSettings(secret=SECRET, rotation_overlap=600.0, pool_identity="pool")
    made = found(proxy(auth), app=Held(**BOTH, changed_at_s=NOW_S))
    for name in ("app", "app_clone"):
        assert of(made, name).identity == "pool"
        assert of(made, name).logins == logins(("app_clone", "2"), ("app", "1"))
    assert of(made, "app").passwords == ("1",)
    assert of(made, "app_clone").passwords == ("2",)
    assert made.sources == dict.fromkeys(("app", "app_clone", "pool"), SECRET)
    assert made.problems == []


def test_the_name_before_goes_with_the_overlap() -> None:
    made = found(proxy(ONE), NOW_S + 1000, app=Held(**BOTH, changed_at_s=NOW_S))
    assert [each.username for each in made.credentials if each.passwords] == ["app_clone"]


def test_a_secret_that_has_become_somebody_elses_lets_the_one_before_in_no_more() -> None:
    held = Held(users(("new", "2")), users(("old", "1")), changed_at_s=NOW_S)
    made = found(proxy(ONE), app=held)
    assert [each.username for each in made.credentials] == ["new"]
    assert made.sources == {"new": SECRET}


def test_users_who_change_places_between_two_secrets() -> None:
    """The name that one secret had before is not in the way of the other that has it now."""
    other = AuthSettings(secret="secretsmanager:jobs")
    made = found(
        proxy(ONE, other),
        app=Held(users(("jobs", "2")), users(("app", "1")), changed_at_s=NOW_S),
        jobs=Held(users(("app", "1")), users(("jobs", "2")), changed_at_s=NOW_S),
    )
    assert made.problems == []
    assert made.sources == {"jobs": SECRET, "app": "secretsmanager:jobs"}


def test_a_name_that_shares_an_identity_is_the_secrets_as_long_as_it_may_be_shown() -> None:
    auth = [
        AuthSettings(secret=SECRET, pool_identity="pool"),
        AuthSettings(secret="secretsmanager:jobs"),
    ]
    made = found(
        proxy(*auth),
        app=Held(users(("b", "2")), users(("a", "1")), changed_at_s=NOW_S),
        jobs=Held(users(("a", "1"))),
    )
    assert made.problems == [f'secretsmanager:jobs: user "a" is in {SECRET} already']


# ---- lists, and users without a password ----


def test_all_users_of_a_list() -> None:
    held = Held(users(("a", "1"), ("b", "2")))
    made = found(proxy(AuthSettings(secret=LIST)), users=held)
    assert [each.username for each in made.credentials] == ["a", "b"]
    assert made.sources == {"a": LIST, "b": LIST}
    assert made.problems == []


def test_who_in_a_list_has_no_password() -> None:
    held = Held(users(("a", "1"), ("b", None)))
    made = found(proxy(AuthSettings(secret=LIST)), users=held)
    (problem,) = made.problems
    assert problem.startswith(f"{LIST}: ")
    assert "Forebay logs in to the database with it" in problem


def needs_none() -> Sequence[Any]:
    by_database = IamSettings(verifier="database")
    own = TargetSettings(hosts=["db"], sslcert="a.crt", sslkey="a.key")
    return [
        ({"auth_scheme": "IAM_AUTH"}, {}),
        ({}, {"default_auth_scheme": "IAM_AUTH"}),
        ({"iam_auth": "REQUIRED"}, {"iam": by_database}),
        ({}, {"target": own}),
    ]


@pytest.mark.parametrize(("auth", "settings"), needs_none())
def test_who_needs_no_password(auth: dict[str, Any], settings: dict[str, Any]) -> None:
    held = Held(users(("app", None)))
    made = found(proxy(AuthSettings(secret=SECRET, **auth), **settings), app=held)
    assert made.problems == []
    (app,) = made.credentials
    assert (app.passwords, app.logins) == ((), logins(("app", "")))
    entry = AuthSettings(username="guest", client_auth="cert", **auth)
    made = found(proxy(entry, **settings))
    (guest,) = made.credentials
    assert (guest.username, guest.identity, guest.logins) == (
        *("guest", "guest"),
        logins(("guest", "")),
    )
    assert made.sources == {}


@pytest.mark.parametrize(
    ("auth", "settings"),
    [
        ({}, {}),
        ({"iam_auth": "ENABLED"}, {"iam": IamSettings(verifier="database")}),
        ({"auth_scheme": "SECRETS"}, {"default_auth_scheme": "IAM_AUTH"}),
    ],
)
def test_who_needs_one(auth: dict[str, Any], settings: dict[str, Any]) -> None:
    held = Held(users(("app", None)))
    made = found(proxy(AuthSettings(secret=SECRET, **auth), **settings), app=held)
    (problem,) = made.problems
    assert problem.startswith(f'{SECRET}: has no key "password": Forebay logs in to the database')


# ---- who is there twice ----


def test_a_user_in_two_secrets() -> None:
    other = AuthSettings(secret="secretsmanager:jobs")
    same = Held(users(("app", "1")))
    made = found(proxy(ONE, other), app=same, jobs=same)
    assert made.problems == [f'secretsmanager:jobs: user "app" is in {SECRET} already']


@pytest.mark.parametrize("first", [True, False])
def test_a_user_with_a_secret_and_an_entry_without(first: bool) -> None:
    entry = AuthSettings(username="app", client_auth="cert", auth_scheme="IAM_AUTH")
    auth = [entry, ONE] if first else [ONE, entry]
    made = found(proxy(*auth), app=Held(users(("app", "1"))))
    assert made.problems == [f'username = "app": the user is in {SECRET} already']


def test_users_of_different_secrets_cannot_share_connections() -> None:
    auth = [
        AuthSettings(secret=SECRET, pool_identity="pool"),
        AuthSettings(secret="secretsmanager:jobs", pool_identity="pool"),
    ]
    made = found(proxy(*auth), app=Held(users(("app", "1"))), jobs=Held(users(("jobs", "1"))))
    (problem,) = made.problems
    assert problem.startswith('pool_identity "pool": ')


def test_an_identity_cannot_be_another_users_name() -> None:
    auth = [
        AuthSettings(secret=SECRET, pool_identity="jobs"),
        AuthSettings(secret="secretsmanager:jobs"),
    ]
    made = found(proxy(*auth), app=Held(users(("app", "1"))), jobs=Held(users(("jobs", "1"))))
    (problem,) = made.problems
    assert problem.startswith('pool_identity "jobs": ')


# ---- what has changed ----


def material(*credentials: Credential) -> Any:
    return SimpleNamespace(credentials=list(credentials))


def test_changes_are_told_without_passwords() -> None:
    old = {"shop": material(credential("a", "1"), credential("b", "1"), credential("c", "1"))}
    new = {
        "shop": material(credential("a", "1"), credential("b", "2"), credential("d", "1")),
        "more": material(credential("e", "1")),
    }
    assert changed_users(old, new) == [
        'proxies.shop: the password of "b" is another',
        'proxies.shop: user "c" is gone',
        'proxies.shop: user "d" is new',
    ]
    assert changed_users(new, new) == []


def test_passwords_are_for_clients_alone_where_tokens_log_in_to_the_database() -> None:
    """So connections that were made by a password are not taken for such that stay."""
    auth = AuthSettings(secret=SECRET, auth_scheme="IAM_AUTH")
    held = Held(users(("app", "now")), users(("app", "before")), changed_at_s=NOW_S)
    made = of(found(proxy(auth), app=held), "app")
    assert (made.passwords, made.logins) == (("now", "before"), logins(("app", "")))
    assert made.lasting == {DatabaseLogin("app", "")}
