"""One statement of a policy, ready to be asked."""

from dataclasses import dataclass
from enum import IntEnum

from forebay.identity.policy.conditions import Condition, Request
from forebay.identity.policy.globs import Glob


class Reach(IntEnum):
    """How far a statement speaks about a request: what of it was the first not to fit."""

    PRINCIPAL = 0
    ACTION = 1
    RESOURCE = 2
    CONDITION = 3
    ALL = 4


@dataclass(frozen=True, slots=True)
class Patterns:
    """Action, or with ``negated`` NotAction; the same of Resource."""

    globs: tuple[Glob, ...]
    negated: bool

    def cover(self, text: str, username: str | None = None) -> bool:
        """Whether the statement is about ``text``."""
        return any(glob.matches(text, username) for glob in self.globs) is not self.negated


@dataclass(frozen=True, slots=True)
class Statement:
    """``place``: how messages name it. ``principals``: None for everybody. Actions: lowercase."""

    place: str
    allows: bool
    principals: frozenset[str] | None
    actions: Patterns
    resources: Patterns
    conditions: tuple[Condition, ...]

    def reach(self, action: str, resource: str, request: Request) -> Reach:
        """How far it fits: ALL if it applies. ``action`` must be lowercase."""
        principal = request.principal
        if self.principals is not None and self.principals.isdisjoint(principal.names):
            return Reach.PRINCIPAL
        if not self.actions.cover(action):
            return Reach.ACTION
        if not self.resources.cover(resource, principal.username):
            return Reach.RESOURCE
        if not all(condition.holds(request) for condition in self.conditions):
            return Reach.CONDITION
        return Reach.ALL
