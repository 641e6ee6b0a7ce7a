"""What a proxy is to be like from now on, made ready before anything changes.

All that may fail or take time happens in `prepare`: keys are derived, certificates loaded. A proxy
then changes over in one go (`Proxy.change`), which cannot fail.
"""

import ssl
from dataclasses import dataclass

from forebay.channel import Credential, WorkerProxy
from forebay.identity.authorization import Authorization
from forebay.identity.policy import Policies, PolicyError
from forebay.identity.token_check import TokenCheck
from forebay.identity.verifier import KeysVerifier
from forebay.net.login import Credentials, LoginPolicy, Throttle, TokenVerifier, UserEntry
from forebay.net.tls import server_context


@dataclass(frozen=True, slots=True)
class Prepared:
    """A proxy as the node wants it, and what it demands of its clients (the policy, but for what
    only the proxy itself can ask). ``identities``: whose connections each user's clients share."""

    given: WorkerProxy
    policy: LoginPolicy
    identities: dict[str, str]


async def prepare(given: WorkerProxy, old: Prepared | None) -> Prepared:
    """Makes a proxy ready; what is as in `old` is taken from there. Raises ValueError with the
    reason why it cannot be."""
    credentials = await Credentials.derive(
        map(entry_of, given.credentials),
        previous=None if old is None else old.policy.credentials,
    )
    policy = LoginPolicy(
        credentials=credentials,
        require_tls=given.settings.require_tls,
        tls_context=_tls_context(given, old),
        throttle=Throttle() if old is None else old.policy.throttle,
        login_timeout_s=given.settings.login_timeout,
        refuse_options=given.settings.pinning == "rds",
        verifier=_by_keys(given),
    )
    return Prepared(given, policy, {each.username: each.identity for each in given.credentials})


def entry_of(credential: Credential) -> UserEntry:
    """A user, as logins know it."""
    return UserEntry(
        credential.username,
        credential.passwords,
        credential.auth,
        "" if credential.client_cert == "no" else credential.client_cert,
        credential.cert_names,
    )


def _tls_context(given: WorkerProxy, old: Prepared | None) -> ssl.SSLContext | None:
    """The old one where certificates are the same, so that clients can resume their sessions."""
    if (
        old is not None
        and old.given.certificates == given.certificates
        and old.given.client_ca_pem == given.client_ca_pem
    ):
        return old.policy.tls_context
    first, *more = given.certificates
    return server_context(*first, *more, client_ca_pem=given.client_ca_pem)


def _by_keys(given: WorkerProxy) -> TokenVerifier | None:
    """The verifier ``keys``, if it is that. Raises ValueError for policies that cannot be used."""
    iam = given.settings.iam
    if iam is None or iam.verifier != "keys":
        return None
    try:
        policies = Policies.parse(given.policies) if given.policies else None
    except PolicyError as error:
        raise ValueError(str(error)) from None
    authorization = Authorization(
        policies,
        region=iam.region,
        proxy_id=iam.proxy_id or given.name,
        account=iam.account or None,
        open_without_policies=True,
    )
    verifier = KeysVerifier(given.access_keys, region=iam.region, hosts=iam.host_names())
    return TokenCheck(verifier, authorization)
