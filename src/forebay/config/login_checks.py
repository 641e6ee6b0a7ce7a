"""What must hold of how clients log in, and of how Forebay does: users, certificates, IAM."""

import re
from collections.abc import Iterator, Sequence

from forebay.config.addresses import Address, parse_address
from forebay.config.reading import Path
from forebay.config.settings import AuthSettings, IamSettings, ProxySettings, TargetSettings

# RDS Proxy: 200 secrets per proxy.
MAX_USERS = 10_000
SECRET_FORMS = (
    "file:PATH, env:NAME, userlist:PATH, secretsmanager:NAME"  # noqa: S105
    " or the ARN of a Secrets Manager secret"
)
MAX_IAM_HOSTS = 100
MAX_ACCESS_KEYS = 1000
MAX_POLICIES = 100
MAX_CERTIFICATES = 100
# What a verifier cannot do without, and what has no meaning for it.
IAM_NEEDS = {
    "keys": ("region", "hosts", "access_keys"),
    "database": (),
    "sts": ("account", "proxy_id", "policies"),
}
IAM_REFUSES = {
    "keys": ("sts_endpoint",),
    "database": ("access_keys", "sts_endpoint", "policies", "account", "proxy_id"),
    "sts": ("access_keys", "hosts"),
}
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
_ACCOUNT = re.compile(r"[0-9]{12}")
_PROXY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# As clients sign them: a name or an address, no wildcard.
_IAM_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]+")
_ACCESS_KEY = re.compile(r"(file|env):.+", re.DOTALL)
_SECRET = re.compile(
    r"(file|env|given|userlist|secretsmanager):.+|arn:[\w-]+:secretsmanager:.+", re.DOTALL
)

Found = Iterator[tuple[Path, str]]


def logins_of(proxy: ProxySettings) -> Found:
    """All of one proxy's that takes more than one key."""
    yield from _certificates(proxy)
    yield from _number_of_users(proxy)
    yield from _auth_query(proxy)
    seen: dict[str, int] = {}
    for index, auth in enumerate(proxy.auth):
        for key, name in (("secret", auth.secret), ("username", auth.username)):
            if name and f"{key} {name}" in seen:
                yield ("auth", index, key), f"is the same as that of auth[{seen[f'{key} {name}']}]"
            seen.setdefault(f"{key} {name}", index)
        for key, text in _user_of(proxy, auth):
            yield ("auth", index, key), text


def _certificates(proxy: ProxySettings) -> Found:
    if (proxy.tls_certificate is None) != (proxy.tls_private_key is None):
        given, absent = "tls_certificate", "tls_private_key"
        if proxy.tls_certificate is None:
            given, absent = absent, given
        yield (
            (absent,),
            f"is missing while {given} is set; give both, or neither for a self-made certificate",
        )
        return
    certificates, keys = _count(proxy.tls_certificate), _count(proxy.tls_private_key)
    if certificates != keys:
        text = f"names {keys} keys for {certificates} certificates; each needs its own"
        yield ("tls_private_key",), text
    elif certificates == 0 or certificates > MAX_CERTIFICATES:
        text = f"names {certificates} files; it may name 1 to {MAX_CERTIFICATES}"
        yield ("tls_certificate",), text


def _count(files: str | list[str] | None) -> int:
    return len(files) if isinstance(files, list) else 1


def _number_of_users(proxy: ProxySettings) -> Found:
    if not proxy.auth:
        yield ("auth",), "is empty: without [[auth]] entries nobody could log in"
    if len(proxy.auth) > MAX_USERS:
        yield ("auth",), f"has {len(proxy.auth)} entries; at most {MAX_USERS} are allowed"


def _auth_query(proxy: ProxySettings) -> Found:
    if proxy.auth_query and not proxy.auth_user:
        yield ("auth_user",), "is missing: the user of [[auth]] who runs auth_query"
    for key in ("auth_user", "auth_dbname"):
        if getattr(proxy, key) and not proxy.auth_query:
            yield (key,), "has no meaning without auth_query"
    if proxy.auth_query and "$1" not in proxy.auth_query:
        yield ("auth_query",), "has no $1, which stands for the user's name"
    if "\0" in proxy.auth_query:
        yield ("auth_query",), "holds a zero byte"


def _user_of(proxy: ProxySettings, auth: AuthSettings) -> Iterator[tuple[str, str]]:
    """What one user asks of its proxy."""
    if auth.iam_auth != "DISABLED" and proxy.iam is None:
        yield (
            "iam_auth",
            (
                f'is "{auth.iam_auth}", but nothing says how tokens are verified: add a table'
                ' [proxies.NAME.iam] with verifier = "keys", or use "DISABLED"'
            ),
        )
    if auth.iam_auth == "ENABLED" and proxy.iam is not None and proxy.iam.verifier == "database":
        yield "iam_auth", 'can\'t be "ENABLED" with verifier = "database": use "REQUIRED"'
    needs_authority = "cert" if auth.client_auth == "cert" else auth.clientcert
    if needs_authority != "no" and proxy.tls_client_ca is None:
        key = "client_auth" if auth.client_auth == "cert" else "clientcert"
        yield key, f'is "{needs_authority}", which needs tls_client_ca: who vouches for clients'
    if auth.client_auth == "trust" and not all(each.is_loopback for each in _listens(proxy)):
        yield (
            "client_auth",
            (
                'is "trust": whoever can connect is let in, so the proxy may listen only on Unix'
                " sockets and loopback addresses"
            ),
        )
    if auth.username and not _needs_no_password(proxy, auth):
        yield (
            "username",
            (
                'is given without a secret: that works with auth_scheme = "IAM_AUTH", with iam_auth'
                ' = "REQUIRED" and verifier = "database", or with target.sslcert'
            ),
        )
    elif auth.username and auth.client_auth == "password" and auth.iam_auth == "DISABLED":
        yield (
            "username",
            (
                "is given without a secret, so no password is right: clients need iam_auth, or"
                ' client_auth = "cert" or "trust"'
            ),
        )


def _listens(proxy: ProxySettings) -> Sequence[Address]:
    try:
        return proxy.listen_addresses()
    except ValueError:
        return ()  # reported where it is checked


def _needs_no_password(proxy: ProxySettings, auth: AuthSettings) -> bool:
    """Whether Forebay can log in to the database for this user without one."""
    by_token = proxy.iam is not None and proxy.iam.verifier == "database"
    return (
        proxy.auth_scheme_of(auth) == "IAM_AUTH"
        or (by_token and auth.iam_auth == "REQUIRED")
        or proxy.target.sslcert is not None
    )


def check_user(auth: AuthSettings) -> Found:
    """What one entry of ``auth`` says by itself."""
    if auth.secret and auth.username:
        yield ("username",), "and secret are both given: the secret has its user's name in it"
    elif not auth.secret and not auth.username:
        yield ("secret",), f"is missing; it must be {SECRET_FORMS}, or give a username"
    elif auth.secret and not _SECRET.fullmatch(auth.secret):
        yield ("secret",), f"must be {SECRET_FORMS}; the value given is not shown"
    for key in ("username", "pool_identity"):
        if "\0" in getattr(auth, key):
            yield (key,), "holds a zero byte"
    if auth.client_auth != "password" and auth.iam_auth != "DISABLED":
        yield ("client_auth",), f'is "{auth.client_auth}", so iam_auth has to be "DISABLED"'
    if auth.clientcert_names and auth.client_auth != "cert" and auth.clientcert != "verify-full":
        yield (
            ("clientcert_names",),
            'is looked at only with client_auth = "cert" or clientcert = "verify-full"',
        )


def check_iam(iam: IamSettings) -> Found:
    """How tokens are verified."""
    for key in IAM_NEEDS.get(iam.verifier, ()):
        if not getattr(iam, key):
            yield (key,), f'is missing; verifier = "{iam.verifier}" needs it'
    for key in IAM_REFUSES.get(iam.verifier, ()):
        if getattr(iam, key):
            yield (key,), f'has no meaning with verifier = "{iam.verifier}"'
    if iam.region and not _REGION.fullmatch(iam.region):
        yield ("region",), f"is {iam.region!r}; it must be the region in tokens, as in us-east-1"
    if iam.verifier == "sts" and not iam.region and not iam.sts_endpoint:
        yield ("region",), 'is missing; verifier = "sts" needs it, or an sts_endpoint'
    yield from _hosts(iam)
    yield from _access_keys(iam)
    yield from _authorization(iam)


def _hosts(iam: IamSettings) -> Found:
    if len(iam.hosts) > MAX_IAM_HOSTS:
        text = f"has {len(iam.hosts)} items; it must have 1 to {MAX_IAM_HOSTS}: what clients"
        yield ("hosts",), f'{text} connect to, as in ["db.example.com:6432"]'
    seen: set[str] = set()
    for index, host in enumerate(iam.hosts):
        try:
            name = str(parse_address(host, wildcard=False)).lower()
        except ValueError as error:
            yield ("hosts", index), str(error)
            continue
        if not _IAM_HOST.fullmatch(name):
            yield ("hosts", index), f"{host!r} is not host:port, as clients connect to it"
        elif name in seen:
            yield ("hosts", index), f"{host!r} is there twice"
        seen.add(name)


def _access_keys(iam: IamSettings) -> Found:
    if len(iam.access_keys) > MAX_ACCESS_KEYS:
        text = f"has {len(iam.access_keys)} items; it must have 1 to {MAX_ACCESS_KEYS}"
        yield ("access_keys",), f'{text}, as in ["file:keys/dev.json"]'
    for index, source in enumerate(iam.access_keys):
        if not _ACCESS_KEY.fullmatch(source):
            yield ("access_keys", index), "must be file:PATH or env:NAME; the value is not shown"
        elif source in iam.access_keys[:index]:
            yield ("access_keys", index), f"is there twice: {source}"


def _authorization(iam: IamSettings) -> Found:
    if iam.policies and not iam.proxy_id:
        yield ("proxy_id",), "is missing; it is a part of the ARNs that policies name"
    if iam.account and not _ACCOUNT.fullmatch(iam.account):
        yield ("account",), f"is {iam.account!r}; it must be the twelve digits of an account"
    if iam.proxy_id and not _PROXY_ID.fullmatch(iam.proxy_id):
        text = "it must be up to 64 letters, digits, underscores and hyphens, as in prx-orders"
        yield ("proxy_id",), f"is {iam.proxy_id!r}; {text}"
    if len(iam.policies) > MAX_POLICIES:
        text = f"has {len(iam.policies)} items; at most {MAX_POLICIES} are allowed"
        yield ("policies",), text
    for index, policy in enumerate(iam.policies):
        if not policy.startswith("file:") and not policy.lstrip().startswith("{"):
            yield ("policies", index), "must be file:PATH, or a policy in IAM's JSON"


def check_certificate_of_ours(target: TargetSettings) -> Found:
    """What Forebay shows to the database."""
    if (target.sslcert is None) != (target.sslkey is None):
        absent = "sslkey" if target.sslkey is None else "sslcert"
        yield (absent,), "is missing; a certificate and its key go together"
    if target.sslcert is not None and target.sslmode == "disable":
        yield ("sslcert",), 'has no meaning with sslmode = "disable"'
    if target.region and not _REGION.fullmatch(target.region):
        yield ("region",), f"is {target.region!r}; it must be one of AWS's, as in us-east-1"
