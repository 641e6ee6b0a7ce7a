"""Which passwords hold while a secret rotates; pure: what is known and the time are arguments.

AWS's rotation functions go four steps, in either of two ways:

===============  ==========================================  =====================================
step             one user                                    alternating users
===============  ==========================================  =====================================
createSecret     AWSPENDING: the same name, a new password   AWSPENDING: the other name
setSecret        the database takes only the new one         the database takes both names
testSecret       a login with AWSPENDING                     a login with AWSPENDING
finishSecret     AWSCURRENT moves, the old one is            the same
                 AWSPREVIOUS
===============  ==========================================  =====================================

A client has read AWSCURRENT a while ago, or just now; the database may be a step ahead or behind,
and a rotation may be broken off after any step. So clients may show any of the three passwords,
the previous one until an overlap is over. A login to the database tries the newest first.

(https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets.html)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from forebay.config.settings import Hidden
from forebay.identity.holding import NEVER_S, Held
from forebay.identity.secrets import User, shown

CLONE_SUFFIX: Final = "_clone"
"""What AWS's function for alternating users puts behind every other name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What holds for one database user, or for the two names that it alternates between.

    ``identity`` is one name for them all, the same in every step. ``passwords``: which names
    clients may log in under now, and which passwords they may show, newest first; a name without
    any has no password (it may use IAM tokens). ``logins``: what to try at the database, newest
    first; a password of None: there is none. ``changes_at_s``: when ``passwords`` will be another
    with nothing happening, or None.
    """

    identity: str
    passwords: Mapping[str, tuple[Hidden, ...]]
    logins: tuple[User, ...]
    changes_at_s: float | None = None

    def logins_as(self, username: str) -> tuple[User, ...]:
        """What to try at the database under this name alone."""
        return tuple(each for each in self.logins if each.username == username)


def plans(held: Held, now_s: float, rotation_overlap_s: float) -> tuple[Plan, ...]:
    """The plan of a secret's user; of a userlist one for each of its users."""
    versions = held.pending or (), held.current, held.previous or ()
    if len(held.current) == 1:
        name = held.current[0].username
        changed_at_s = held.user_changed_at_s.get(name, held.changed_at_s)
        return (_plan(versions, changed_at_s, now_s, rotation_overlap_s),)
    pending, current, previous = map(_by_name, versions)
    return tuple(
        _plan(
            (pending.get(name, ()), users, previous.get(name, ())),
            held.user_changed_at_s.get(name, NEVER_S),
            now_s,
            rotation_overlap_s,
        )
        for name, users in current.items()
    )


def _plan(
    versions: Sequence[Sequence[User]], changed_at_s: float, now_s: float, rotation_overlap_s: float
) -> Plan:
    """``versions``: the users of the pending version, the current and the previous."""
    pending, current, previous = versions
    lasting = _passwords([*pending, *current])
    with_previous = _passwords([*pending, *current, *previous])
    ends_at_s = changed_at_s + rotation_overlap_s
    overlaps = now_s < ends_at_s and with_previous != lasting
    logins = tuple(dict.fromkeys([*pending, *current, *previous]))
    return Plan(
        identity=shared_identity(each.username for each in logins),
        passwords=with_previous if overlaps else lasting,
        logins=logins,
        changes_at_s=ends_at_s if overlaps else None,
    )


def shared_identity(usernames: Iterable[str]) -> str:
    """The name by which a user and its clone are one: that without ``_clone``. Of other names the
    first in the alphabet, so that it stays the same whichever is current."""
    names = set(usernames)
    bases = {name.removesuffix(CLONE_SUFFIX) or name for name in names}
    return bases.pop() if len(bases) == 1 else min(names)


def users_twice(found: Mapping[str, Iterable[Plan]]) -> list[str]:
    """A sentence for each user name that two sources have; ``found``: plans by source."""
    first: dict[str, str] = {}
    problems: list[str] = []
    for source, its_plans in found.items():
        for name in sorted({name for plan in its_plans for name in plan.passwords}):
            other = first.setdefault(name, source)
            if other != source:
                problems.append(f'{shown(source)}: user "{name}" is in {shown(other)} already')
    return problems


def _passwords(users: Iterable[User]) -> dict[str, tuple[Hidden, ...]]:
    found: dict[str, list[Hidden]] = {}
    for user in users:
        passwords = found.setdefault(user.username, [])
        if user.password is not None and user.password not in passwords:
            passwords.append(user.password)
    return {name: tuple(passwords) for name, passwords in found.items()}


def _by_name(users: Iterable[User]) -> dict[str, tuple[User, ...]]:
    found: dict[str, tuple[User, ...]] = {}
    for user in users:
        found[user.username] = (*found.get(user.username, ()), user)
    return found
