"""Keeps what the sources in use hold: reads them, follows their changes, and gets over failures.

A source in AWS is asked anew about each minute, a file when a look at it each second shows another
one. One that can't be read later keeps its last good value, and is tried again after pauses that
grow. Whoever has reason to think that a value is old calls `Keeper.refresh`.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from forebay.identity.holding import NEVER_S, Held, compose
from forebay.identity.secrets import SecretError
from forebay.identity.sources.source import Source, SourceError, Versions, shown
from forebay.identity.tokens import time_text
from forebay.net.tasks import spawn

REFRESH_S: Final = 60.0
"""RDS Proxy's own interval is not published; its users say to wait for 60 s."""
FOLLOW_S: Final = 1.0
JITTER: Final = 0.1
MIN_INTERVAL_S: Final = 5.0
"""The least time between two reads of a remote source: wrong passwords call for them."""
LOCAL_MIN_INTERVAL_S: Final = 0.5
MAX_WAIT_S: Final = 5.0
"""How long a refresh waits at most until its source may be read again."""
FIRST_RETRY_S: Final = 2.0
MAX_RETRY_S: Final = 300.0
FETCHES_AT_ONCE: Final = 8
GIVE_UP_AFTER: Final = 8
"""When so many in AWS could not be read at `open`, and none could, the others are not tried."""

_log = logging.getLogger("forebay.identity")


class Factory(Protocol):
    """Makes sources; see sources.making.Sources."""

    def make(self, source: str) -> Source:
        """Raises SourceError."""

    async def fingerprints(self, sources: Sequence[Source]) -> list[Hashable]:
        """One for each, in order."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """How a source does: seconds since it was read, and for how long it can't be, or None."""

    age_s: float
    failing_for_s: float | None


class _Entry:
    """One source in use."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.name = shown(source.source)
        self.held: Held | None = None
        self.changes = 0  # how often it had another value
        self.failures = 0  # since it was read last
        self.started_at_s = NEVER_S  # the last fetch
        self.due_at_s = NEVER_S  # the next one that nobody asks for
        self.read_print: Hashable = None  # the fingerprint when it was read last
        self.seen_print: Hashable = None  # at the last look
        self.unusable: str | None = None  # what was logged of its other versions
        self.flight: asyncio.Task[SourceError | None] | None = None
        self.next: asyncio.Task[None] | None = None  # waits until it may begin
        self.alarm: asyncio.Task[None] | None = None  # ends when it is due


class Keeper:
    """The sources in use. All is called in one event loop.

    ``on_change`` is called with a source that has another value, or whose other versions have come
    or gone; not for what `open` has read first. ``clock`` is monotonic (as loop.time is),
    ``wall_clock`` since 1970, both in seconds.
    """

    def __init__(
        self,
        factory: Factory,
        on_change: Callable[[str], None],
        *,
        refresh_s: float = REFRESH_S,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._factory = factory
        self._on_change = on_change
        self._refresh_s = refresh_s
        self._clock = clock
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._uniform = uniform
        self._entries: dict[str, _Entry] = {}
        self._opening = asyncio.Lock()
        self._closed = False
        self._gates = {  # by is_remote: AWS that hangs must not hold up files
            True: asyncio.Semaphore(FETCHES_AT_ONCE),
            False: asyncio.Semaphore(FETCHES_AT_ONCE),
        }
        self._following: asyncio.Task[None] | None = None

    async def open(self, sources: Iterable[str], *, fresh: Collection[str] = ()) -> None:
        """From now on these sources are in use, and no others. Reads those that are new, and
        those of ``fresh`` anew.

        Raises SecretError with everything that is wrong; then those in use before stay so. A source
        in use that can't be read for a reason that may pass is not wrong: its last value serves.
        """
        async with self._opening:
            wanted = list(dict.fromkeys(sources))
            problems: list[str] = []
            added: list[_Entry] = []
            for source in wanted:
                if source not in self._entries:
                    try:
                        added.append(_Entry(self._factory.make(source)))
                    except SourceError as error:
                        problems.append(f"{shown(source)}: {error.sentence}")
            again = [
                self._entries[each] for each in wanted if each in fresh and each in self._entries
            ]
            problems += await self._read_all(added)
            problems += [
                f"{entry.name}: {error.sentence}"
                for entry, error in zip(
                    again, await asyncio.gather(*map(self._fetch_anew, again)), strict=True
                )
                if error is not None and not error.transient
            ]
            if problems:
                raise SecretError(problems)
            if self._closed:
                return
            for source in self._entries.keys() - set(wanted):
                _stop(self._entries.pop(source))
            for entry in added:
                self._entries[entry.source.source] = entry
                # They were all read at once, and are not to be again.
                entry.due_at_s = entry.started_at_s + self._uniform(0.0, self._refresh_s)
                self._set_alarm(entry)
            if self._following is None:
                self._following = spawn(self._follow(), "follow secret files")

    def versions(self, source: str) -> Held:
        """What is known of a source in use. Raises KeyError if it is none."""
        held = self._entries[source].held
        assert held is not None  # noqa: S101 - it was read before it came into use
        return held

    async def refresh(self, source: str) -> bool:
        """Reads it now; whether that has found anything else than there was at the call.

        What was read from before the call is not relied upon, yet a source is read at most each
        MIN_INTERVAL_S: a call may wait for so long, and all that wait get one answer. False at once
        for a source that is not in use, or that has failed and is left alone for longer.
        """
        entry = self._entries.get(source)
        if entry is None:
            return False
        changes = entry.changes
        if entry.flight is not None:
            await asyncio.wait({entry.flight})
            if entry.changes != changes:
                return True
            if self._closed or self._entries.get(source) is not entry:
                return False
        if entry.next is None:
            if self._allowed_at_s(entry) - self._clock() > MAX_WAIT_S:
                return False
            entry.next = spawn(self._fetch_next(entry), f"refresh {entry.name}")
        await asyncio.wait({entry.next})
        return entry.changes != changes

    def figures(self) -> dict[str, Figures]:
        """How each source in use does."""
        now_s = self._clock()
        found = {}
        for source in self._entries:
            held = self.versions(source)
            since_s = held.failing_since_s
            failing_for_s = None if since_s is None else now_s - since_s
            found[source] = Figures(now_s - held.fetched_at_s, failing_for_s)
        return found

    async def close(self) -> None:
        """Ends all that runs, and closes the factory. What is known can still be asked for."""
        self._closed = True
        tasks = [task for entry in self._entries.values() for task in _stop(entry)]
        if self._following is not None:
            self._following.cancel()
            tasks.append(self._following)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._factory.close()

    # ---- reading ----

    async def _read_all(self, added: Sequence[_Entry]) -> list[str]:
        """Reads those that are new; gives what is wrong. Where nothing in AWS can be read, the rest
        is not tried."""
        failed, read_well, untried = 0, 0, 0

        async def read(entry: _Entry) -> SourceError | None:
            nonlocal failed, read_well, untried
            async with self._gates[entry.source.is_remote]:
                if entry.source.is_remote and failed >= GIVE_UP_AFTER and not read_well:
                    untried += 1
                    return None
                error = await self._attempt(entry)
            if entry.source.is_remote:
                failed += error is not None
                read_well += error is None
            return error

        errors = await asyncio.gather(*map(read, added))
        problems = [
            f"{entry.name}: {error.sentence}"
            for entry, error in zip(added, errors, strict=True)
            if error is not None
        ]
        if untried:
            problems.append(f"{untried} more secrets in AWS were not tried")
        return problems

    async def _fetch_anew(self, entry: _Entry) -> SourceError | None:
        """Reads it, after what is being read already; gives what went wrong."""
        while entry.flight is not None:
            await asyncio.wait({entry.flight})
        return await asyncio.shield(self._fetch(entry))

    def _fetch(self, entry: _Entry) -> "asyncio.Task[SourceError | None]":
        """Reads it, unless that is being done."""
        if entry.flight is None:
            entry.flight = spawn(self._fly(entry), f"read {entry.name}")
        return entry.flight

    async def _fly(self, entry: _Entry) -> SourceError | None:
        try:
            async with self._gates[entry.source.is_remote]:
                return await self._attempt(entry)
        finally:
            entry.flight = None
            self._set_alarm(entry)

    async def _fetch_next(self, entry: _Entry) -> None:
        """Reads it as soon as it may be read again."""
        try:
            while (left_s := self._allowed_at_s(entry) - self._clock()) > 0:
                await self._sleep(left_s)
        finally:
            entry.next = None
        await asyncio.wait({self._fetch(entry)})

    def _allowed_at_s(self, entry: _Entry) -> float:
        interval_s = MIN_INTERVAL_S if entry.source.is_remote else LOCAL_MIN_INTERVAL_S
        allowed_at_s = entry.started_at_s + interval_s
        return max(allowed_at_s, entry.due_at_s) if entry.failures else allowed_at_s

    async def _attempt(self, entry: _Entry) -> SourceError | None:
        """Reads it once and notes what comes of it; gives what went wrong."""
        entry.started_at_s = self._clock()
        error: SourceError
        try:
            if not entry.source.is_remote:
                (entry.read_print,) = await self._factory.fingerprints([entry.source])
            held = self._compose(entry, await entry.source.fetch())
        except SourceError as reading:
            error = reading
        except ValueError as parsing:
            error = SourceError(str(parsing))
        except Exception:  # noqa: BLE001 - our own fault: everything else is to be kept on
            _log.exception("%s can't be read", entry.name)
            error = SourceError("can't be read for an internal error", transient=True)
        else:
            self._note_success(entry, held)
            return None
        self._note_failure(entry, error)
        return error

    # ---- what comes of it ----

    def _compose(self, entry: _Entry, versions: Versions) -> Held:
        """Raises ValueError if the current version can't be used."""
        held, unusable = compose(entry.source.source, entry.held, versions, self._clock())
        if unusable and unusable != entry.unusable:
            _log.warning("%s: %s; it is left out", entry.name, unusable)
        entry.unusable = unusable
        return held

    def _note_success(self, entry: _Entry, held: Held) -> None:
        now_s, before = self._clock(), entry.held
        entry.held = replace(held, fetched_at_s=now_s, failing_since_s=None, error=None)
        entry.failures = 0
        entry.due_at_s = entry.started_at_s + self._refresh_s * self._jitter()
        if before is None:
            return
        if before.failing_since_s is not None:
            since_s = self._wall_clock() - (now_s - before.failing_since_s)
            _log.info("%s is read again; since %s it could not be", entry.name, time_text(since_s))
        if not before.holds_the_same(held):
            entry.changes += 1
            if self._entries.get(entry.source.source) is entry:
                _log.info("%s has changed", entry.name)
                self._tell(entry)

    def _note_failure(self, entry: _Entry, error: SourceError) -> None:
        now_s = self._clock()
        pause_s = min(MAX_RETRY_S, FIRST_RETRY_S * 2.0 ** min(entry.failures, 30))
        entry.failures += 1
        entry.due_at_s = now_s + pause_s * self._jitter()
        if entry.held is None:
            return
        since_s = entry.held.failing_since_s
        if since_s is None:
            since_s = now_s
            read_at_s = self._wall_clock() - (now_s - entry.held.fetched_at_s)
            _log.warning(
                "%s: %s; what was read at %s serves on",
                entry.name,
                error.sentence,
                time_text(read_at_s),
            )
        entry.held = replace(entry.held, failing_since_s=since_s, error=error.sentence)

    def _tell(self, entry: _Entry) -> None:
        try:
            self._on_change(entry.source.source)
        except Exception:  # noqa: BLE001 - the source is read well, whatever is made of it
            _log.exception("The change of %s was not carried out", entry.name)

    def _jitter(self) -> float:
        return self._uniform(1.0 - JITTER, 1.0 + JITTER)

    # ---- as time goes by ----

    def _set_alarm(self, entry: _Entry) -> None:
        """Has a remote source in use read when it is due."""
        if entry.alarm is not None:
            entry.alarm.cancel()
        is_in_use = self._entries.get(entry.source.source) is entry and not self._closed
        if entry.source.is_remote and is_in_use:
            entry.alarm = spawn(self._read_when_due(entry), f"keep {entry.name}")

    async def _read_when_due(self, entry: _Entry) -> None:
        while (left_s := entry.due_at_s - self._clock()) > 0:
            await self._sleep(left_s)
        if entry.next is None:  # that one reads it, too
            self._fetch(entry)

    async def _follow(self) -> None:
        """Looks at the files again and again, and reads those that have changed."""
        while True:
            await self._sleep(FOLLOW_S)
            local = [each for each in self._entries.values() if each.read_print is not None]
            if not local:
                continue
            try:
                prints = await self._factory.fingerprints([each.source for each in local])
            except Exception:  # noqa: BLE001 - files that are not looked at must not be forgotten
                _log.exception("Secret files can't be looked at")
                continue
            for entry, found in zip(local, prints, strict=True):
                # One that is being written looks different at each look.
                has_settled = found == entry.seen_print
                entry.seen_print = found
                is_due = entry.failures > 0 and self._clock() >= entry.due_at_s
                if (found != entry.read_print and has_settled) or is_due:
                    self._fetch(entry)


def _stop(entry: _Entry) -> "list[asyncio.Task[Any]]":
    """Cancels what runs for it; gives those tasks."""
    tasks: list[asyncio.Task[Any]] = [
        each for each in (entry.alarm, entry.next, entry.flight) if each is not None
    ]
    for task in tasks:
        task.cancel()
    return tasks
