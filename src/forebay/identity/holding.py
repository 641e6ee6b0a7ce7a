"""What is known of a secret, and how it follows from what its source has just handed over; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from forebay.identity.secrets import User, parse_users
from forebay.identity.sources.source import Versions

NEVER_S: Final = -float("inf")
"""The time of what has not happened."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of a secret, parsed. Times are of the keeper's monotonic clock, in seconds.

    ``previous`` and ``pending`` are None if there are none. ``changed_at_s``: when ``current``
    became current, as far as is known; minus infinity if it was so at the start. In a list
    ``user_changed_at_s`` has that for each user who is in ``previous``.
    ``fetched_at_s``: when the source was read last. ``failing_since_s``, ``error``: since when it
    can't be, and why, or None.
    """

    current: tuple[User, ...]
    previous: tuple[User, ...] | None = None
    pending: tuple[User, ...] | None = None
    version_id: str = ""
    changed_at_s: float = NEVER_S
    user_changed_at_s: Mapping[str, float] = field(default_factory=dict)
    fetched_at_s: float = NEVER_S
    failing_since_s: float | None = None
    error: str | None = None

    def holds_the_same(self, other: "Held") -> bool:
        """Whether both say the same of passwords, whenever and however well it was read."""
        return (self.version_id, self.current, self.previous, self.pending) == (
            other.version_id,
            other.current,
            other.previous,
            other.pending,
        )


def compose(
    source: str, before: Held | None, versions: Versions, now_s: float
) -> tuple[Held, str | None]:
    """What is held from now on, and what can't be used of the other versions, as a sentence.

    A source without versions of its own has the value before as its previous one. Raises
    ValueError if the current version can't be used.
    """
    current = parse_users(source, versions.current)
    if versions.version_id:
        return _labelled(source, before, versions, current, now_s)
    if before is None:
        return Held(current), None
    if before.current == current:
        return before, None
    if source.startswith("userlist:"):
        return changed_list(before, current, now_s), None
    return Held(current, before.current, changed_at_s=now_s), None


def _labelled(
    source: str, before: Held | None, versions: Versions, current: tuple[User, ...], now_s: float
) -> tuple[Held, str | None]:
    if before is None:
        changed_at_s = NEVER_S if versions.age_s is None else now_s - versions.age_s
    else:
        is_same = before.version_id == versions.version_id
        changed_at_s = before.changed_at_s if is_same else now_s
    others: dict[str, tuple[User, ...]] = {}
    unusable = None
    for label, content in (("AWSPREVIOUS", versions.previous), ("AWSPENDING", versions.pending)):
        if content is not None:
            try:
                others[label] = parse_users(source, content)
            except ValueError as error:  # nothing depends on it while the current one can be used
                unusable = f"its {label} {error}"
    previous, pending = others.get("AWSPREVIOUS"), others.get("AWSPENDING")
    return Held(current, previous, pending, versions.version_id, changed_at_s), unusable


def changed_list(before: Held, current: tuple[User, ...], now_s: float) -> Held:
    """What is held of a list that has another content now: former passwords of those who are in it
    still, and for each since when they are former."""
    present = {user.username: user for user in current}
    changed = {
        user.username: user
        for user in before.current
        if user.username in present and user != present[user.username]
    }
    kept = {user.username: user for user in before.previous or () if user.username in present}
    previous = kept | changed
    since_s = {name: before.user_changed_at_s.get(name, NEVER_S) for name in kept}
    since_s |= dict.fromkeys(changed, now_s)
    return Held(
        current,
        tuple(previous.values()) or None,
        changed_at_s=now_s if changed else before.changed_at_s,
        user_changed_at_s=since_s,
    )
