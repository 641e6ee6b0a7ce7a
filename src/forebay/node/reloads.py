"""What came of reading the configuration again: told in the log, and to whoever asked for it."""

import logging
import time
from collections.abc import Iterable

import msgspec

NOT_RELOADED = "Not reloaded: the configuration before stays in force"


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """One reload, in sentences. None of them holds a secret."""

    at: float  # Unix time, s
    ok: bool
    changed: list[str] = []
    waiting: list[str] = []  # what can't change while running: it waits for a restart
    warnings: list[str] = []  # of what is in force now
    problems: list[str] = []  # why nothing has changed, if it is not ok


def reloaded(changed: Iterable[str], waiting: Iterable[str], warnings: Iterable[str]) -> Reload:
    """The new configuration is in force, but for what waits."""
    return Reload(
        at=time.time(),
        ok=True,
        changed=list(changed),
        waiting=list(waiting),
        warnings=list(warnings),
    )


def refused(problems: Iterable[str]) -> Reload:
    """Nothing has changed."""
    return Reload(at=time.time(), ok=False, problems=list(problems))


def tell(reload: Reload, log: logging.Logger) -> None:
    """Log it; the warnings are the caller's, who knows the proxies that they belong to."""
    for each in reload.problems:
        log.error("%s", each)
    if not reload.ok:
        log.error(NOT_RELOADED)
        return
    for each in reload.waiting:
        log.warning("%s", each)
    for each in reload.changed:
        log.info("Changed: %s", each)
    log.info("Reloaded", extra={"fields": {"changes": len(reload.changed)}})
