"""What is wrong with a configuration, all of it at once."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it stands, which key, and what to do about it."""

    where: str  # the file, "environment" or "URL"
    key: str  # dotted, as in the documentation; "" for the whole
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.text) if part)


class ConfigError(Exception):
    """The configuration can't be used. ``problems`` is never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        if not self.problems:
            raise ValueError("a ConfigError needs a problem")
        super().__init__("\n".join(map(str, self.problems)))


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` for the known name closest to this one, or the list of a few, or ""."""
    known = sorted(known)
    if meant := meant_by(name, known):
        return meant
    return f"; known here: {', '.join(known)}" if 0 < len(known) <= 20 else ""


def meant_by(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` for the known name closest to this one, or ""."""
    by_folded = {each.casefold().replace("-", "_"): each for each in sorted(known)}
    folded = name.casefold().replace("-", "_")
    # A key cut short means the shortest one that begins so, whatever else is similar.
    longer = sorted((each for each in by_folded if each.startswith(f"{folded}_")), key=len)
    close = longer or difflib.get_close_matches(folded, list(by_folded), n=1, cutoff=0.6)
    return f"; did you mean {by_folded[close[0]]}?" if close else ""
