"""Everything that happens to a proxy's clients and connections because time has passed."""

import heapq
from collections.abc import Sequence
from typing import Protocol

from forebay.net.tasks import in_crypto_thread
from forebay.protocol import errors
from forebay.relay import Client
from forebay.worker.agenda import Agenda
from forebay.worker.memory import (
    CLIENTS_AT_LEAST,
    STATEMENT_BYTES_AT_LEAST,
    Ebb,
    malloc_trim,
)
from forebay.worker.pool.chores import Timeouts
from forebay.worker.sessions.sessions import Sessions

TICK_S = 0.1
# Chores that need no haste: ages, idle connections, the server's own limits.
SLOW_TICK_S = 1.0
# A client that takes no more of its replies, as far as can be seen, is looked at once more after
# this part of its idle timeout.
SECOND_LOOK = 0.25
# How long a client beyond its greatest age may be stalled.
LAST_CHANCE_S = 60.0
# Entries of clients that have left, beyond as many as there are clients, before they are dropped.
DUE_SPARE = 1000


class Due(Protocol):
    """What is done when its time has come: `forebay.worker.pool.chores.Chores`, say."""

    def tick(self, now: float, timeouts: Timeouts) -> None:
        """Do what is due, and cannot wait."""

    def slow_tick(self, now: float, timeouts: Timeouts) -> None:
        """Do what is due, and needs no haste."""

    def stop(self, now: float) -> None:
        """There will be no other tick."""


class Janitor:
    """Looks after one proxy. ``tick`` does all that is due at `now`. ``chores``: those of its
    database servers, which may be others at any time."""

    def __init__(
        self, agenda: Agenda, timeouts: Timeouts, chores: Sequence[Due], sessions: Sessions
    ) -> None:
        self.timeouts = timeouts
        self.chores = chores
        self._agenda = agenda
        self._sessions = sessions
        # When each client is looked at next; lazily put off when it was active meanwhile.
        self._due: list[tuple[float, int]] = []
        self._clients_ebb = Ebb(CLIENTS_AT_LEAST)
        self._statements_ebb = Ebb(STATEMENT_BYTES_AT_LEAST)
        self._trim = malloc_trim()
        self._slow_at = 0.0
        self._stopped = False

    def start(self) -> None:
        """Tick from now on."""
        self._agenda.later(TICK_S, self._tick_and_go_on)

    def stop(self) -> None:
        self._stopped = True
        for each in self.chores:
            each.stop(self._agenda.now())

    def watch(self, client: Client) -> None:
        """Look after a new client."""
        due = min(self.timeouts.idle_client_timeout_s, self.timeouts.max_client_age_s)
        heapq.heappush(self._due, (self._agenda.now() + due, client.process_id))
        if len(self._due) > 2 * len(self._sessions.clients) + DUE_SPARE:
            self._forget_those_who_left()

    def _forget_those_who_left(self) -> None:
        """Half of what is due or more names clients that came and went before their time."""
        clients = self._sessions.clients
        self._due = [entry for entry in self._due if entry[1] in clients]
        heapq.heapify(self._due)

    def _tick_and_go_on(self) -> None:
        if not self._stopped:
            try:
                self.tick(self._agenda.now())
            finally:
                self._agenda.later(TICK_S, self._tick_and_go_on)

    def tick(self, now: float) -> None:
        """Do what is due."""
        chores = list(self.chores)
        for each in chores:
            each.tick(now, self.timeouts)
        if now < self._slow_at:
            return
        self._slow_at = now + SLOW_TICK_S
        self._end_clients(now)
        for each in chores:
            each.slow_tick(now, self.timeouts)
        self._give_memory_back()

    def _give_memory_back(self) -> None:
        """If much of it has come free."""
        clients_left = self._clients_ebb.has_come(len(self._sessions.clients))
        account = self._sessions.texts.account
        statements_gone = self._statements_ebb.has_come(account.bytes, account.take_peak())
        if (clients_left or statements_gone) and self._trim is not None:
            self._agenda.spawn(in_crypto_thread(self._trim), "give memory back")

    def _end_clients(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, process_id = heapq.heappop(self._due)
            client = self._sessions.clients.get(process_id)
            if client is not None:
                due = self._look_after(client, now)
                if due is not None:
                    heapq.heappush(self._due, (due, process_id))

    def _look_after(self, client: Client, now: float) -> float | None:
        """End a client that has been here or idle for too long; when to look again at one that goes
        on, else None."""
        idle_s = self.timeouts.idle_client_timeout_s
        ages_at = client.connected_at + self.timeouts.max_client_age_s
        error, reason = errors.idle_timeout, "it was idle for too long"
        if ages_at <= now:
            client.part(errors.client_too_old().encode())
            if client.process_id not in self._sessions.clients:
                return None
            # It ends with its transaction, unless that is idle for too long, or goes no further.
            ages_at = now + LAST_CHANCE_S
            if client.is_stalled and idle_s > LAST_CHANCE_S:
                idle_s = LAST_CHANCE_S
                error, reason = errors.client_too_old, "it had reached its limit, and was stalled"
        if client.is_busy:
            idles_at = now + idle_s
        else:
            idles_at = client.last_progress + idle_s
            if idles_at <= now and _has_taken(client):
                idles_at = now + idle_s * SECOND_LOOK
        if idles_at <= now:
            client.fail(error().encode(), reason)
            return None
        return min(ages_at, idles_at)


def _has_taken(client: Client) -> bool:
    """Whether the client has taken anything of its replies since it was looked at last.

    Its socket here takes more only when much of its buffer has become free: a client that reads
    slowly is seen to do so by what the kernel still has for it.
    """
    before, client.unsent_seen = client.unsent_seen, client.unsent_bytes
    return 0 < client.unsent_seen != before
