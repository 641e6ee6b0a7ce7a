"""Whose login the servers of a proxy are asked with."""

from collections.abc import Awaitable, Callable, Sequence

from forebay.channel import Credential, MakeToken, NodeAnswer, Token
from forebay.config.addresses import Address
from forebay.config.settings import ProxySettings
from forebay.net.connector import DatabaseLogin, IamToken, Md5Hash
from forebay.protocol import md5, scram
from forebay.topology.control import ControlLogin

MakeTokenAnswer = Callable[[MakeToken], Awaitable[NodeAnswer]]
"""Makes a token of Forebay's own role. Raises ValueError."""


async def control_logins(
    name: str,
    proxy: ProxySettings,
    credentials: Sequence[Credential],
    address: Address,
    make_token: MakeTokenAnswer,
) -> list[ControlLogin]:
    """The ways to log in to the server at ``address`` for the proxy ``name``, to be tried in this
    order. Raises LookupError, with the reason, if there is none."""
    wanted = proxy.target.control_user
    if wanted:
        credentials = [each for each in credentials if wanted in (each.username, each.identity)]
        if not credentials:
            raise LookupError(f'control_user "{wanted}" is no user of auth')
    for each in credentials:
        if each.auth_scheme == "IAM_AUTH":
            user = each.logins[0].user if each.logins else each.username
            request = MakeToken(proxy=name, user=user, host=address.host, port=address.port)
            try:
                answer = await make_token(request)
            except ValueError as error:
                raise LookupError(str(error)) from None
            if isinstance(answer, Token):
                return [ControlLogin(user, IamToken(answer.token), proxy.target.database)]
        found = [
            ControlLogin(login.user, proof, proxy.target.database)
            for login in each.logins
            for is_usable, proof in [_proof(login.password)]
            if is_usable
        ]
        if found:
            return found
    whose = f'control_user "{wanted}"' if wanted else "any user"
    raise LookupError(
        f"no password of {whose} is known in clear: name a control_user whose secret has one"
    )


def _proof(password: str) -> tuple[bool, DatabaseLogin]:
    """Whether something can be shown for what is known of a password, and what."""
    hashed = md5.parse_stored(password)
    if hashed is not None:
        return True, Md5Hash(hashed)
    if scram.Verifier.parse(password) is not None:
        return False, None
    return True, password or None
