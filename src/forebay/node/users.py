"""The users of a proxy: what its configuration says of them and what their secrets hold, put
together. Pure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from forebay.channel import Credential, DatabaseLogin, LoginMethod
from forebay.config.settings import AuthSettings, ProxySettings
from forebay.identity.holding import Held
from forebay.identity.rotation import CLONE_SUFFIX, Plan, plans, users_twice
from forebay.identity.secrets import User, shown

# By iam_auth and client_password_auth_type.
AUTH_METHODS: dict[tuple[str, str], LoginMethod] = {
    ("DISABLED", "POSTGRES_SCRAM_SHA_256"): "scram-sha-256",
    ("DISABLED", "POSTGRES_MD5"): "md5",
    ("REQUIRED", "POSTGRES_SCRAM_SHA_256"): "iam",
    ("REQUIRED", "POSTGRES_MD5"): "iam",
    ("ENABLED", "POSTGRES_SCRAM_SHA_256"): "iam-or-scram-sha-256",
    ("ENABLED", "POSTGRES_MD5"): "iam-or-md5",
}
_WHAT_FOR = ": Forebay logs in to the database with it, even if clients use IAM tokens"


@dataclass(slots=True)
class Users:
    """The users of one proxy. ``sources``: where each of them, by name and by identity, comes from.
    ``changes_at_s``: when they will be others though nothing happens (of the clock that `users_of`
    was given), or None. ``problems``: sentences, by the source they are about."""

    credentials: list[Credential] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    changes_at_s: float | None = None
    problems: list[str] = field(default_factory=list)


def users_of(proxy: ProxySettings, held: Callable[[str], Held], now_s: float) -> Users:
    """All users by now. ``held``: what is known of a source."""
    users = Users()
    found: dict[str, tuple[Plan, ...]] = {}
    for auth in proxy.auth:
        if auth.username:
            name = auth.username
            users.credentials.append(_credential(proxy, auth, name, (), (User(name, None),)))
            continue
        known = held(auth.secret)
        found[auth.secret] = plans(known, now_s, auth.rotation_overlap_s)
        current = {_base(each.username) for each in known.current}
        for plan in found[auth.secret]:
            _add(users, proxy, auth, plan, current)
    present = {
        auth.secret: found[auth.secret]
        if auth.pool_identity
        else _present(found[auth.secret], held(auth.secret))
        for auth in proxy.auth
        if auth.secret
    }
    users.problems += users_twice(present)
    users.problems += _entries_twice(proxy, present)
    users.problems += () if users.problems else dict.fromkeys(_shared(users))
    return users


def method(auth: AuthSettings) -> LoginMethod:
    """How this user's clients log in."""
    if auth.client_auth != "password":
        return auth.client_auth
    return AUTH_METHODS[auth.iam_auth, auth.client_password_auth_type]


def _base(username: str) -> str:
    """The name that a user shares with the clone that a rotation alternates with."""
    return username.removesuffix(CLONE_SUFFIX)


def _add(
    users: Users, proxy: ProxySettings, auth: AuthSettings, plan: Plan, current: set[str]
) -> None:
    """``current``: names of the users that the secret has now. One who had another name before is
    somebody else, unless it is known that names alternate."""
    if plan.changes_at_s is not None:
        earliest = users.changes_at_s
        is_first = earliest is None or plan.changes_at_s < earliest
        users.changes_at_s = plan.changes_at_s if is_first else earliest
    if _needs_password(proxy, auth) and not any(each.password for each in plan.logins):
        users.problems.append(f'{shown(auth.secret)}: has no key "password"{_WHAT_FOR}')
    for name, passwords in plan.passwords.items():
        if not auth.pool_identity and _base(name) not in current:
            continue
        logins = plan.logins if auth.pool_identity else plan.logins_as(name)
        credential = _credential(
            proxy, auth, name, tuple(each.reveal() for each in passwords), logins
        )
        users.credentials.append(credential)
        users.sources[name] = users.sources[credential.identity] = auth.secret


def _needs_password(proxy: ProxySettings, auth: AuthSettings) -> bool:
    """Whether Forebay can't log in to the database without one."""
    by_tokens = proxy.iam is not None and proxy.iam.verifier == "database"
    return not (
        proxy.auth_scheme_of(auth) == "IAM_AUTH"
        or (by_tokens and auth.iam_auth == "REQUIRED")
        or proxy.target.sslcert is not None
    )


def _credential(
    proxy: ProxySettings,
    auth: AuthSettings,
    name: str,
    passwords: tuple[str, ...],
    logins: tuple[User, ...],
) -> Credential:
    return Credential(
        username=name,
        auth=method(auth),
        passwords=passwords,
        identity=auth.pool_identity or name,
        logins=tuple(
            DatabaseLogin(each.username, each.password.reveal() if each.password else "")
            for each in logins
        ),
        auth_scheme=proxy.auth_scheme_of(auth),
        client_cert=auth.clientcert,
        cert_names=tuple(auth.clientcert_names),
    )


def _present(its_plans: Iterable[Plan], held: Held) -> tuple[Plan, ...]:
    """The plans without users who were in a secret before, and whom another one may have now."""
    current = {_base(each.username) for each in held.current}

    def narrowed(plan: Plan) -> Plan:
        names = [name for name in plan.passwords if _base(name) in current]
        return replace(plan, passwords={name: plan.passwords[name] for name in names})

    return tuple(map(narrowed, its_plans))


def _entries_twice(proxy: ProxySettings, found: Mapping[str, Iterable[Plan]]) -> Iterator[str]:
    """Users who have an entry of their own and a secret, too."""
    sources = {
        name: source
        for source, its_plans in found.items()
        for plan in its_plans
        for name in plan.passwords
    }
    for auth in proxy.auth:
        if auth.username in sources:
            where = shown(sources[auth.username])
            yield f'username = "{auth.username}": the user is in {where} already'


def _shared(users: Users) -> Iterator[str]:
    """Pools that users of two secrets would share."""
    owners: dict[str, tuple[DatabaseLogin, ...]] = {}
    for each in users.credentials:
        if owners.setdefault(each.identity, each.logins) != each.logins:
            yield f'pool_identity "{each.identity}": users of different secrets would share it'


def changed_users(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Which users are new, gone or have other passwords, in sentences; by proxy, `Material`s."""
    changed: list[str] = []
    for name, material in new.items():
        if name not in old:
            continue
        was = {each.username: each for each in old[name].credentials}
        now = {each.username: each for each in material.credentials}
        where = f"proxies.{name}"
        changed += (f'{where}: user "{user}" is new' for user in now.keys() - was.keys())
        changed += (f'{where}: user "{user}" is gone' for user in was.keys() - now.keys())
        changed += (
            f'{where}: the password of "{user}" is another'
            for user in now.keys() & was.keys()
            if now[user].passwords != was[user].passwords
        )
    return sorted(changed)
