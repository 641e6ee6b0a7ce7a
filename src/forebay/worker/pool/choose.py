"""Which of several readers gets clients, without sockets or clocks.

RDS Proxy takes the reader with the least outstanding connections, weighted by max_connections, and
keeps a client there (RDS Proxy guide: "reader endpoints"); it moves nobody to a reader that joins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

# A reader that was too far behind gets clients again when its lag is this part of the bound: else
# one whose lag is about the bound would come and go.
LAG_AGAIN = 0.8
# Clients are moved to a reader that joins until it lacks no more than this part of its share.
BALANCED = 0.05
# So many clients are moved at once at most, of so many as there are.
MOVED_PART, MOVED_AT_ONCE = 0.01, 20


@dataclass(frozen=True, slots=True)
class Load:
    """One reader. ``weight``: its max_connections; 0: it is not known. ``outstanding``: its
    connections that are lent, and clients that wait for one. ``clients``: logged in, idle or not.
    ``is_failing``: no connection could be opened lately."""

    weight: int
    outstanding: int = 0
    clients: int = 0
    is_failing: bool = False


def weights(loads: Sequence[Load]) -> list[float]:
    """Their weights. One that is not known is the mean of the others."""
    known = [each.weight for each in loads if each.weight > 0]
    mean = sum(known) / len(known) if known else 1.0
    return [each.weight if each.weight > 0 else mean for each in loads]


def least_loaded(loads: Sequence[Load]) -> int | None:
    """Where the next client belongs: to the reader that has the least outstanding for its weight;
    of equal ones, that would have the fewest clients. None if there is no reader."""
    ranks = [
        (each.is_failing, each.outstanding / weight, (each.clients + 1) / weight, index)
        for index, (each, weight) in enumerate(zip(loads, weights(loads), strict=True))
    ]
    return min(ranks)[-1] if ranks else None


def is_near(lag_s: float | None, bound_s: float | None, was_near: bool) -> bool:
    """Whether a reader is near enough to the writer to have clients. `bound_s`: how far it may be
    behind; None: it does not matter. What is not known is too far."""
    if bound_s is None:
        return True
    if lag_s is None:
        return False
    return lag_s <= (bound_s if was_near else bound_s * LAG_AGAIN)


class Move(NamedTuple):
    """So many clients from one reader to another, by their indices."""

    giver: int
    taker: int
    clients: int


def rebalance(loads: Sequence[Load]) -> Move | None:
    """The clients to move now, so that each reader comes to have its share by weight; None if each
    has about that. Few at a time: each may make its new reader open a connection."""
    able = [index for index, each in enumerate(loads) if not each.is_failing]
    if len(able) < 2:
        return None
    total = sum(loads[index].clients for index in able)
    shares = weights([loads[index] for index in able])
    fair = {index: total * share / sum(shares) for index, share in zip(able, shares, strict=True)}
    giver = max(able, key=lambda index: loads[index].clients - fair[index])
    taker = min(able, key=lambda index: loads[index].clients - fair[index])
    lacking = fair[taker] - loads[taker].clients
    count = int(min(lacking, loads[giver].clients - fair[giver]))
    if count < 1 or lacking <= fair[taker] * BALANCED:
        return None
    return Move(giver, taker, min(count, MOVED_AT_ONCE, max(1, int(total * MOVED_PART))))


@dataclass(frozen=True, slots=True)
class Queue:
    """How those stand who wait at one reader for connections to one database, as one user.

    ``unserved``: for whom no connection is being opened; ``idle``: connections that could be lent
    at once; ``room``: how many more may be opened for them. ``is_closed``: nobody there gets any.
    """

    unserved: int = 0
    idle: int = 0
    room: int = 0
    is_closed: bool = False
    is_failing: bool = False

    @property
    def spare(self) -> int:
        """For how many others it has connections."""
        if self.is_closed:
            return 0
        room = 0 if self.is_failing else max(0, self.room - self.unserved)
        return self.idle + room

    @property
    def is_stuck(self) -> bool:
        """Whether those who wait there can but wait for connections that come free."""
        return self.is_closed or self.is_failing or self.room < self.unserved


def relief(queues: Sequence[Queue]) -> list[Move]:
    """The clients that are moved, first come, first served: from readers that have nothing for them
    to those that have. Who waits where nothing can be had at all joins the shortest queue."""
    spare = [each.spare for each in queues]
    length = [each.unserved for each in queues]
    moves: list[Move] = []
    for giver, queue in enumerate(queues):
        if not queue.is_stuck:
            continue
        is_useless = queue.is_closed or queue.is_failing
        left = queue.unserved - (0 if is_useless else queue.room)
        others = [index for index in range(len(queues)) if index != giver]
        while left > 0 and others:
            taker = max(others, key=lambda index: spare[index])
            count = min(left, spare[taker])
            if count < 1:
                break
            moves.append(Move(giver, taker, count))
            spare[taker] -= count
            left -= count
        able = [i for i in others if not queues[i].is_closed and not queues[i].is_failing]
        if left > 0 and is_useless and able:
            taker = min(able, key=lambda index: length[index])
            moves.append(Move(giver, taker, left))
            length[taker] += left
    return moves
