"""All policies of a proxy together: may this principal log in as this database user?

A document is what AWS calls a resource-based policy, with the proxy's database users as the
resource: each statement says in ``Principal`` whom it is about, as a bucket's or a key's policy
does. In AWS `rds-db:connect` stands in policies attached to users and roles; here there is nothing
to attach them to, and of IAM's own ways to name a principal this one needs no wrapper that only
Forebay would know. A statement from such a policy becomes one of ours by adding its ``Principal``.

    {
      "Version": "2012-10-17",
      "Statement": {
        "Sid": "PublisherAsApp",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:role/publisher"},
        "Action": "rds-db:connect",
        "Resource": "arn:aws:rds-db:eu-central-1:111122223333:dbuser:prx-orders/app"
      }
    }

As IAM decides ("Policy evaluation logic" in the IAM User Guide): one statement that denies beats
all that allow, and what no statement allows is denied. Nothing else is looked at: no policies of an
account, no boundaries.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from forebay.identity.policy.arns import is_database_user, parse_principal, shown
from forebay.identity.policy.conditions import Request, parse_address
from forebay.identity.policy.reading import read_policies
from forebay.identity.policy.statements import Reach, Statement


@dataclass(frozen=True, slots=True)
class Decision:
    """``reason``: one line for the log, naming the statement that decided, or what came closest.

    It names principal and resource, which a client chose in part: made printable and cut.
    """

    allowed: bool
    reason: str


class Policies:
    """What several documents say together. Made by ``parse``; does not change."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._statements = tuple(statements)

    @classmethod
    def parse(cls, documents: Mapping[str, str]) -> "Policies":
        """Read documents by their names (a file's path, say), which places and reasons begin with.

        Raises PolicyError with everything that is wrong. Without a document, all is denied.
        """
        return cls(read_policies(documents))

    def allowed(self) -> Iterator[tuple[str, str]]:
        """The place of each statement that allows, with each pattern of its Resource; of a
        NotResource with "*"."""
        for statement in self._statements:
            if statement.allows and statement.resources.negated:
                yield statement.place, "*"
            elif statement.allows:
                yield from ((statement.place, glob.text) for glob in statement.resources.globs)

    def decide(
        self, principal: str, action: str, resource: str, *, source_ip: str | None, now_s: float
    ) -> Decision:
        """Whether the principal with this ARN may do ``action`` (rds-db:connect) on the resource.

        ``principal``: of a verified token, as GetCallerIdentity names it or as an access key's
        owner is written. ``resource``: arn:PARTITION:rds-db:REGION:ACCOUNT:dbuser:PROXY-ID/USER;
        signs in it are text. ``source_ip``: the client's address, None on a Unix socket. ``now_s``:
        Unix time. Raises nothing: what can't be understood is denied.
        """
        try:
            principal_asking = parse_principal(principal)
        except ValueError as error:
            return Decision(False, f'principal "{shown(principal)}" {error}')
        try:
            address = None if source_ip is None else parse_address(source_ip)
        except ValueError:
            return Decision(False, f'"{shown(source_ip or "")}" is not the address of a client')
        request = Request(principal_asking, address, now_s)
        if not is_database_user(resource):
            return Decision(False, f"{shown(resource)} is not the ARN of a database user")
        asked = f"{shown(principal)} to do {shown(action)} on {shown(resource)}"
        allowing: Statement | None = None
        closest: tuple[Reach, str] = (Reach.PRINCIPAL, "")
        for statement in self._statements:
            reach = statement.reach(action.lower(), resource, request)
            if reach is Reach.ALL and not statement.allows:
                return Decision(False, f"{statement.place} denies {asked}")
            if reach is Reach.ALL:
                allowing = allowing or statement
            elif statement.allows and reach > closest[0]:
                closest = (reach, statement.place)
        if allowing is not None:
            return Decision(True, f"{allowing.place} allows {asked}")
        return Decision(False, f"no statement allows {asked}{_hint(*closest)}")


def _hint(reach: Reach, place: str) -> str:
    if reach is Reach.ACTION:
        return f" ({place} is about this principal, but not about this action)"
    if reach is Reach.RESOURCE:
        return f" ({place} is about this principal, but not about this resource)"
    if reach is Reach.CONDITION:
        return f" ({place} would, but its Condition is not fulfilled)"
    return " (no statement that allows is about this principal)"
