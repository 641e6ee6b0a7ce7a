"""What a configuration that works will bite with later. Pure: facts in, sentences out."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from forebay.channel import Credential
from forebay.cli.iam_warnings import about_iam
from forebay.cli.probing import Facts, Login
from forebay.config import Config, LimitSettings, ProxySettings
from forebay.worker.pool.budget import Budget

OLDEST_SERVER = 120_000  # PostgreSQL 12
OLDEST_SERVER_NAME = "12"
SPARE_DESCRIPTORS = 64
NO_POLICIES: Mapping[str, str] = MappingProxyType({})


def budget(proxy: ProxySettings, facts: Facts) -> Budget:
    """The limits that the pool would hold."""
    return Budget.of(
        facts.max_connections,
        facts.reserved,
        proxy.pool.max_connections_percent,
        proxy.pool.max_idle_connections_percent,
        proxy.pool.max_connections,
    )


def about_proxy(
    proxy: ProxySettings,
    credentials: Sequence[Credential],
    logins: Sequence[Login],
    *,
    self_made: bool,
    descriptor_limit: int,
    policies: Mapping[str, str] = NO_POLICIES,
) -> Iterator[str]:
    """Warnings for one proxy. ``policies``: texts by name."""
    yield from _settings(proxy, self_made=self_made)
    yield from about_iam(proxy, credentials, policies)
    yield from _limited_users(proxy, credentials)
    yield from _console_users(proxy, credentials)
    if proxy.max_client_connections + SPARE_DESCRIPTORS > descriptor_limit:
        yield (
            f"max_client_connections is {proxy.max_client_connections}, but this user may have only"
            f" {descriptor_limit} open files (ulimit -Hn)"
        )
    with_md5 = sorted(each.username for each in credentials if each.auth == "md5")
    if with_md5:
        yield f"clients of {_names(with_md5)} log in with MD5, which can be cracked when overheard"
    found = [(each, each.facts) for each in logins if each.facts is not None]
    for host in {login.host: None for login, _ in found}:
        first = next(facts for login, facts in found if login.host == host)
        yield from (f"{host}: {text}" for text in _server(proxy, len(credentials), first))
    for login, facts in found:
        yield from (f'user "{login.user}" {text}' for text in _user(proxy, facts))
        if login.rejected:
            yield (
                f"the database does not take {login.rejected} newer of the passwords of user"
                f' "{login.user}", and takes an older one: a rotation is under way, or was broken'
                " off"
            )


def _settings(proxy: ProxySettings, *, self_made: bool) -> Iterator[str]:
    public = [str(each) for each in proxy.listen_addresses() if not each.is_loopback]
    remote = [str(each) for each in proxy.target.addresses() if not each.is_loopback]
    if public and not proxy.require_tls:
        yield f"require_tls is off on {_names(public)}: statements and rows can be read on the way"
    if public and self_made:
        yield (
            f"the certificate on {_names(public)} is made anew at each start: clients can't verify"
            " it (set tls_certificate and tls_private_key)"
        )
    if remote and proxy.target.sslmode in ("disable", "allow", "prefer"):
        yield (
            f'sslmode = "{proxy.target.sslmode}" towards {_names(remote)} does not insist on'
            " encryption; use at least require, better verify-full"
        )
    borrow_s = proxy.pool.connection_borrow_timeout
    if borrow_s == 0:
        yield "connection_borrow_timeout is 0: a client that finds no free connection is refused"
    if borrow_s > proxy.idle_client_timeout:
        yield (
            f"connection_borrow_timeout ({borrow_s:g} s) is longer than idle_client_timeout"
            f" ({proxy.idle_client_timeout:g} s)"
        )
    if proxy.pinning == "rds" and (proxy.session_functions or proxy.session_settings):
        yield (
            'session_functions and session_settings have no effect while pinning is "rds", as RDS'
            " Proxy has nothing like them"
        )
    if proxy.login_timeout < 1:
        yield f"login_timeout is {proxy.login_timeout:g} s: a busy client machine may not make it"


def _console_users(proxy: ProxySettings, credentials: Sequence[Credential]) -> Iterator[str]:
    """Users for the admin database who can't log in."""
    known = {each.username for each in credentials}
    for key in ("admin_users", "stats_users"):
        for name in getattr(proxy, key):
            if name not in known and not proxy.auth_query:
                yield f'{key} names "{name}", but there is no user "{name}"'


def _limited_users(proxy: ProxySettings, credentials: Sequence[Credential]) -> Iterator[str]:
    """Tables of limits that nobody would come under."""
    identities = {each.identity for each in credentials}
    shared = {each.username: each.identity for each in credentials}
    for name in proxy.users:
        if name in identities:
            continue
        if name in shared:
            yield (
                f'users.{name} has no effect: user "{name}" is limited as its pool_identity'
                f' "{shared[name]}"'
            )
        elif not proxy.auth_query:
            yield f'users.{name} has no effect: there is no user "{name}"'


def _server(proxy: ProxySettings, users: int, facts: Facts) -> Iterator[str]:
    limits = budget(proxy, facts)
    limit = limits.limit
    if facts.server_version_number < OLDEST_SERVER:
        yield f"PostgreSQL {facts.server_version} is older than {OLDEST_SERVER_NAME}"
    if facts.is_replica and not proxy.target.is_watched:
        yield "is a replica: writing statements will fail"
    if limit < 2 * users:
        yield (
            f"{limit} connections for {users} users: a connection never serves another user, so"
            " they will keep taking connections from each other"
        )
    if proxy.pool.max_connections_percent == 100 and limit == limits.share:
        yield (
            "max_connections_percent is 100: nothing is left for migrations, psql and monitoring"
            " that do not come through Forebay"
        )
    if facts.missing_functions:
        names = _names(facts.missing_functions)
        yield (
            f'database "{proxy.target.database}" does not have what session_functions lists:'
            f" {names} (the databases that clients name may)"
        )
    for key, own in _limit_tables(proxy):
        if own.max_connections is not None and own.max_connections > limit:
            yield f"{key}.max_connections is {own.max_connections}, more than the pool's {limit}"
    unreserved = facts.max_connections - facts.reserved
    if limit + facts.others_connected > unreserved:
        yield (
            f"others hold {facts.others_connected} connections now; with Forebay's {limit} that is"
            f" more than the {unreserved} there are"
        )
    if facts.database_limit >= 0 and facts.database_limit < limit:
        yield (
            f'database "{proxy.target.database}" has CONNECTION LIMIT {facts.database_limit}, less'
            f" than the pool's {limit}"
        )
    if facts.password_encryption == "md5":  # noqa: S105 - the name of a method
        yield "password_encryption is md5; PostgreSQL advises scram-sha-256"


def _limit_tables(proxy: ProxySettings) -> Iterator[tuple[str, LimitSettings]]:
    for table, limited in (("users", proxy.users), ("databases", proxy.databases)):
        for name, limits in limited.items():
            yield f"{table}.{name}", limits


def _user(proxy: ProxySettings, facts: Facts) -> Iterator[str]:
    if facts.is_superuser:
        yield "is a superuser: its connections may take those reserved for administration"
    if not facts.asks_password:
        yield "needs no password at the database (trust or peer in pg_hba.conf)"
    if 0 <= facts.user_limit < budget(proxy, facts).limit:
        yield f"has CONNECTION LIMIT {facts.user_limit}, less than the pool's limit"
    if facts.idle_session_timeout not in ("0", ""):
        yield (
            f"has idle_session_timeout = {facts.idle_session_timeout}: the database will close idle"
            " connections of the pool"
        )
    if facts.statement_timeout not in ("0", ""):
        yield f"has statement_timeout = {facts.statement_timeout} from the database's side"


def about_all(config: Config) -> Iterator[str]:
    """Warnings that need more than one proxy."""
    together: dict[str, list[str]] = defaultdict(list)
    for name, proxy in config.proxies.items():
        for address in proxy.target.addresses():
            together[str(address)].append(name)
    for host, proxies in together.items():
        # Numbers are for those who share a server with others.
        names = [name for name in proxies if config.proxies[name].pool.max_connections is None]
        percent = sum(config.proxies[name].pool.max_connections_percent for name in names)
        if len(names) > 1 and percent > 100:
            yield (
                f"proxies {_names(names)} share {host}, and their max_connections_percent add up to"
                f" {percent}"
            )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)
