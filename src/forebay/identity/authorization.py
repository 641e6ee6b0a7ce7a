"""Whether a principal whose token is right may be a database user: the one place that says so.

Pure: time is an argument.
"""

from typing import Final

from forebay.identity.policy import Policies
from forebay.identity.policy.arns import shown
from forebay.identity.principals import ACCOUNT, PROXY_ID, account_of, partition_of
from forebay.identity.tokens import REGION, Reason, Refusal

CONNECT: Final = "rds-db:connect"


class Authorization:
    """The policies of one proxy, and what its database users are called in them:
    ``arn:PARTITION:rds-db:REGION:ACCOUNT:dbuser:PROXY-ID/USER``."""

    def __init__(
        self,
        policies: Policies | None,
        *,
        region: str,
        proxy_id: str,
        account: str | None = None,
        open_without_policies: bool = False,
    ) -> None:
        """``policies``: None if none are configured; then nobody may be anybody, unless
        ``open_without_policies`` says that who has a valid token may be every user: right where the
        operator has given out what tokens are signed with, and never for ``sts``, where everybody
        who has an account at AWS has valid tokens.

        ``account``: whose the proxy is. Principals of other accounts are refused whatever the
        policies say, as AWS refuses them for databases; so ``"Principal": "*"`` does not mean the
        whole world. Without it (for ``keys``), the proxy is of the account that the principal is.

        Raises ValueError for names that cannot stand in such an ARN.
        """
        if not REGION.fullmatch(region):
            raise ValueError(f"{region!r} is no region, as in us-east-1")
        if not PROXY_ID.fullmatch(proxy_id):
            raise ValueError(f"{proxy_id!r} is no proxy id: letters, digits, - and _, at most 64")
        if account is not None and not ACCOUNT.fullmatch(account):
            raise ValueError(f"{account!r} is no account: twelve digits")
        self._policies = policies
        self._account = account
        self._open = open_without_policies
        self._before_account = f"arn:{partition_of(region)}:rds-db:{region}"
        self._proxy_id = proxy_id

    def decide(
        self, principal_arn: str | None, user: str, source_ip: str | None, now_s: float
    ) -> Refusal | None:
        """Why this principal may not be this database user; None if it may.

        ``principal_arn``: of a token that was verified, as Verified has it. ``source_ip``: the
        client's address, None on a Unix socket. ``now_s``: seconds since 1970.
        """
        name = shown(user)
        if self._policies is None:
            if self._open:
                return None
            return _refusal(f'there are no policies that let anybody be user "{name}"')
        if principal_arn is None:
            return _refusal(
                f'it is not known whose access key signed the token for user "{name}", so no policy'
                ' allows it; put "Arn" beside the key in iam.access_keys'
            )
        try:
            account = account_of(principal_arn)
        except ValueError as error:
            return _refusal(f'"{shown(principal_arn)}" {error}')
        if self._account is not None and account != self._account:
            return _refusal(
                f'{shown(principal_arn)}, who wants to be user "{name}", is of another account than'
                f" the proxy ({self._account})"
            )
        resource = f"{self._before_account}:{account}:dbuser:{self._proxy_id}/{user}"
        decision = self._policies.decide(
            principal_arn, CONNECT, resource, source_ip=source_ip, now_s=now_s
        )
        return None if decision.allowed else _refusal(decision.reason)


def _refusal(sentence: str) -> Refusal:
    return Refusal(Reason.POLICY, sentence)
