"""Passes on between a node's workers that a statement needs a database for itself.

A worker asks; the others answer, or have their time; then the worker is told that it may go on.
"""

import asyncio
import itertools
import logging
from typing import Protocol

from forebay.channel import Evacuate, Evacuated, EvacuationMessage, Reopen
from forebay.net.tasks import spawn

log = logging.getLogger("forebay.node")

# A worker that does not answer must not hold a client up.
ANSWER_TIMEOUT_S = 1.0


class Member(Protocol):
    """A worker, as it is talked to."""

    def post(self, message: EvacuationMessage) -> bool:
        """Send. Returns False if the worker is gone, or far behind."""


class Evacuations:
    """Those of one node's workers."""

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._numbers = itertools.count(1)
        # By who asks and its number: who was told, and by which number.
        self._told: dict[tuple[Member, int], list[tuple[Member, int]]] = {}
        self._expected: dict[tuple[Member, int], asyncio.Event] = {}

    def join(self, member: Member) -> None:
        """A worker serves from now on."""
        self._members.append(member)

    def leave(self, member: Member) -> None:
        """A worker is gone, and its clients with it; harmless if it is known."""
        if member in self._members:
            self._members.remove(member)
        for asker, number in list(self._told):
            if asker is member:
                self._reopen(asker, number)
        for (who, _), answered in self._expected.items():
            if who is member:
                answered.set()

    def take(self, member: Member, message: EvacuationMessage) -> None:
        """A worker says this."""
        match message:
            case Evacuate():
                answers = self._pass_on(member, message)
                if answers:
                    spawn(self._await(answers, member, message.id), "evacuate a database")
                else:
                    member.post(Evacuated(id=message.id))
            case Evacuated(id=number):
                answered = self._expected.get((member, number))
                if answered is not None:
                    answered.set()
            case Reopen(id=number):
                self._reopen(member, number)

    def _pass_on(self, asker: Member, message: Evacuate) -> list[asyncio.Event]:
        """Tell all other workers. Each has an event for its answer."""
        told: list[tuple[Member, int]] = []
        for member in self._members:
            number = next(self._numbers)
            passed_on = Evacuate(
                id=number, server=message.server, alone=message.alone, made=message.made
            )
            if member is not asker and member.post(passed_on):
                told.append((member, number))
                self._expected[member, number] = asyncio.Event()
        if told:
            self._told[asker, message.id] = told
        return [self._expected[each] for each in told]

    async def _await(self, answers: list[asyncio.Event], asker: Member, number: int) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                for answered in answers:
                    await answered.wait()
        except TimeoutError:
            log.warning("A worker did not say in time that it has left a database")
        asker.post(Evacuated(id=number))

    def _reopen(self, asker: Member, number: int) -> None:
        for member, known_as in self._told.pop((asker, number), ()):
            answered = self._expected.pop((member, known_as), None)
            if answered is not None:
                answered.set()
            member.post(Reopen(id=known_as))
