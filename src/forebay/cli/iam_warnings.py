"""Why tokens that clients make will be refused, as far as it can be told from here. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from forebay.channel import Credential
from forebay.config import IamSettings, ProxySettings
from forebay.identity.policy import Policies
from forebay.identity.policy.arns import shown
from forebay.identity.policy.globs import Glob

_DEFAULT_REGION = "us-east-1"  # with an sts_endpoint and no region


def about_iam(
    proxy: ProxySettings, credentials: Sequence[Credential], policies: Mapping[str, str]
) -> Iterator[str]:
    """``policies``: their texts by name, which were read without an error."""
    if proxy.iam is None:
        return
    if all(auth.iam_auth == "DISABLED" for auth in proxy.auth):
        names = ", ".join(sorted(f'"{each.username}"' for each in credentials))
        yield (
            f'there is an iam table, but iam_auth is "DISABLED" for every user ({names}): their'
            ' tokens are refused as wrong passwords; set iam_auth = "REQUIRED" (or "ENABLED") for'
            " those who are to log in with tokens, and add a secret for each who has none"
        )
    yield from _places(proxy, proxy.iam)
    if policies:
        yield from _grants(proxy.iam, credentials, Policies.parse(policies))


def _places(proxy: ProxySettings, iam: IamSettings) -> Iterator[str]:
    """Where tokens are taken, and for what names."""
    listen = [each for each in proxy.listen_addresses() if not each.is_unix]
    if not listen:
        yield "it listens on Unix sockets alone, which have no TLS: no IAM token is taken there"
        return
    ports = {each.port for each in listen}
    if iam.verifier != "keys" or 0 in ports:  # another's name, or any free port
        return
    strange = [host for host in iam.host_names() if int(host.rpartition(":")[2]) not in ports]
    if strange:
        yield (
            f"iam.hosts has {', '.join(strange)}, but the proxy listens on port"
            f" {', '.join(str(port) for port in sorted(ports))}: the port is signed in a token, so"
            " this is right only if clients connect to another port that is mapped to this one"
        )


def _grants(
    iam: IamSettings, credentials: Sequence[Credential], policies: Policies
) -> Iterator[str]:
    """Policies that let somebody be a user who can't log in with a token."""
    by_token = {each.username: each.auth.startswith("iam") for each in credentials}
    told: set[str] = set()
    is_meant = False
    for place, pattern in policies.allowed():
        user = _user_in(pattern, iam)
        if user is None:
            continue
        is_meant = True
        if any(sign in user for sign in "*?$") or user in told:
            continue
        told.add(user)
        if user not in by_token:
            yield (
                f'{place} lets principals be user "{shown(user)}", and nobody is called so: their'
                f" logins are refused; add an entry to auth with a secret of that username, or with"
                f' username = "{shown(user)}" and auth_scheme = "IAM_AUTH", and with iam_auth ='
                ' "REQUIRED"'
            )
        elif not by_token[user] and any(by_token.values()):
            yield (
                f'{place} lets principals be user "{shown(user)}", whose iam_auth is "DISABLED":'
                ' their tokens are refused as wrong passwords; set iam_auth = "REQUIRED" (or'
                ' "ENABLED")'
            )
    if not is_meant:
        yield (
            f'no policy allows anything here: none has a Resource of the proxy "{iam.proxy_id}" in'
            f" the region {iam.region or _DEFAULT_REGION}, so all tokens are refused"
        )


def _user_in(pattern: str, iam: IamSettings) -> str | None:
    """What a Resource says of users of this proxy, "*" for all; None if it is about others."""
    parts = pattern.split(":", 6)
    if len(parts) < 7:  # a "*" stands for the rest
        return "*"
    region, account, (proxy_id, slash, user) = parts[3], parts[4], parts[6].partition("/")
    if not Glob(region).matches(iam.region or _DEFAULT_REGION):
        return None
    if iam.account and not Glob(account).matches(iam.account):
        return None
    if not Glob(proxy_id, variables=True).matches(iam.proxy_id):
        return None
    return user if slash else "*"
