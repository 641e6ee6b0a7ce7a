"""Where in a document something stands, and what is wrong there."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from forebay.config.errors import Problem, nearest
from forebay.identity.policy.arns import shown

# Principals, actions, resources and condition values of all statements: each is looked at once at
# a login.
MAX_VALUES = 5_000
# IAM's longest ARN of a database user has about 250 characters.
MAX_VALUE_CHARACTERS = 600
# Nobody reads more of them.
_MAX_PROBLEMS = 100


class PolicyError(Exception):
    """Policies can't be used. ``problems``: for each, document, place in it and what is right."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(slots=True)
class Findings:
    """What is wrong in all documents so far, and how many values they have."""

    problems: list[Problem] = field(default_factory=list)
    values: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A document, a statement of it, and keys within."""

    findings: Findings
    document: str
    statement: str = ""
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.document}: {self._within()}"

    def report(self, text: str) -> None:
        """Note what is wrong here."""
        if len(self.findings.problems) < _MAX_PROBLEMS:
            self.findings.problems.append(Problem(self.document, self._within(), text))

    def below(self, key: str) -> "Place":
        """What stands under a key here."""
        return replace(self, keys=(*self.keys, shown(key)))

    def strings(self, value: Any) -> list[str]:
        """A string or a list of them; what is not is reported and left out."""
        values = value if isinstance(value, list) else [value]
        if not values:
            self.report("is an empty list")
        self.findings.values += len(values)
        if self.findings.values > MAX_VALUES:
            return []  # told once all is counted
        good = []
        for each in values:
            if not isinstance(each, str) or not each:
                self.report(f"is {written(each)}; it must be a string or a list of strings")
            elif len(each) > MAX_VALUE_CHARACTERS:
                self.report(f"has a value of over {MAX_VALUE_CHARACTERS} characters")
            elif not each.isprintable():
                self.report(f"is {written(each)}; it must not hold control characters")
            else:
                good.append(each)
        return good

    def members(self, value: Any) -> Iterable[tuple[str, Any]]:
        """Keys and values of an object that is not empty; anything else is reported."""
        if isinstance(value, dict) and value:
            return value.items()
        self.report(f"is {written(value)}; it must be an object that is not empty")
        return ()

    def check_keys(self, raw: Mapping[str, Any], known: Iterable[str]) -> None:
        """Report the keys that are not known, each with the nearest that is."""
        known = tuple(known)
        for key in raw:
            if key not in known:
                self.below(key).report(f"is not a known key{nearest(key, known)}")

    def _within(self) -> str:
        return ": ".join(part for part in (self.statement, ".".join(self.keys)) if part)


def written(value: Any) -> str:
    """A value as JSON, cut to what fits into a line; what is not ASCII is escaped."""
    try:
        return shown(json.dumps(value))
    except RecursionError:
        return "nested deeply"
