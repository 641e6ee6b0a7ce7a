"""The users of a proxy: what its configuration says of them and what their secrets hold, put
together. Pure.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

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
        its_plans = plans(known, now_s, auth.rotation_overlap_s)
        if not auth.pool_identity:
            its_plans = tuple(_without_strangers(plan, known) for plan in its_plans)
        found[auth.secret] = its_plans
        for plan in its_plans:
            _add(users, proxy, auth, plan, known)
    users.problems += users_twice(found)
    users.problems += _entries_twice(proxy, found)
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


def _without_strangers(plan: Plan, held: Held) -> Plan:
    """The plan for those who are in the secret now. One who had another name before is somebody
    else, whom another secret may have now, unless it is known that names alternate."""
    current = {_base(each.username) for each in held.current}
    return replace(
        plan,
        passwords={name: own for name, own in plan.passwords.items() if _base(name) in current},
        logins=tuple(each for each in plan.logins if _base(each.username) in current),
    )


def _add(users: Users, proxy: ProxySettings, auth: AuthSettings, plan: Plan, held: Held) -> None:
    """Users of one plan, and those whose turn is over."""
    if plan.changes_at_s is not None:
        earliest = users.changes_at_s
        is_first = earliest is None or plan.changes_at_s < earliest
        users.changes_at_s = plan.changes_at_s if is_first else earliest
    if _needs_password(proxy, auth) and not any(each.password for each in plan.logins):
        is_listed = auth.secret.startswith("userlist:")
        what = f'user "{plan.identity}" has no password' if is_listed else 'has no key "password"'
        users.problems.append(f"{shown(auth.secret)}: {what}{_WHAT_FOR}")
    lasting = {*held.current, *(held.pending or ())}
    for name, passwords in plan.passwords.items():
        logins = plan.logins if auth.pool_identity else plan.logins_as(name)
        texts = tuple(each.reveal() for each in passwords)
        users.credentials.append(_credential(proxy, auth, name, texts, logins, lasting))
        users.sources[name] = users.sources[users.credentials[-1].identity] = auth.secret
    if not auth.pool_identity:
        for name in sorted({each.username for each in plan.logins} - plan.passwords.keys()):
            users.credentials.append(_former(proxy, auth, name, plan.logins_as(name)))
            users.sources[name] = auth.secret


def _former(
    proxy: ProxySettings, auth: AuthSettings, name: str, logins: tuple[User, ...]
) -> Credential:
    """A user whose overlap is over: nobody may log in by this name, by a password or otherwise.
    Clients that have done so are at work still, until the other name's turn is over, and have
    connections opened."""
    credential = _credential(proxy, auth, name, (), logins)
    return msgspec.structs.replace(credential, auth="scram-sha-256")


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
    lasting: Container[User] = (),
) -> Credential:
    """``lasting``: those whose connections may stay, if there are such among ``logins``."""
    scheme = proxy.auth_scheme_of(auth)
    if scheme == "IAM_AUTH":  # by tokens: passwords are for clients alone
        logins = tuple(dict.fromkeys(User(each.username, None) for each in logins))
    is_newer = any(each in lasting for each in logins)
    return Credential(
        username=name,
        auth=method(auth),
        passwords=passwords,
        identity=auth.pool_identity or name,
        logins=tuple(map(_login, logins)),
        outdated=tuple(_login(each) for each in logins if is_newer and each not in lasting),
        auth_scheme=scheme,
        client_cert=auth.clientcert,
        cert_names=tuple(auth.clientcert_names),
    )


def _login(user: User) -> DatabaseLogin:
    return DatabaseLogin(user.username, user.password.reveal() if user.password else "")


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
