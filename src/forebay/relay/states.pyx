"""The states of a client and of a database connection: which there are, and which may follow which.

The table is the only place that says so. Whoever moves something to another state calls ``moved``, which
knows no other moves. The diagrams in ARCHITECTURE.md are drawn from it (tools/draw_states.py).
"""


class StateError(Exception):
    """Something was about to move to a state that cannot follow its own: a mistake in Forebay."""


class State:
    """A row of the table. `moves`: the states that may follow, each with what leads there."""

    def __init__(self, name, meaning, moves):
        self.name = name
        self.meaning = meaning
        self.moves = moves


TABLE = {
    IDLE: State(
        "IDLE",
        "has no connection, and no place in a queue",
        {
            WORKING: "it borrows a connection",
            HELD: "it borrows a connection, which changes over first",
            QUEUED: "no connection is there for it",
            GONE: "it ends",
        },
    ),
    WORKING: State(
        "WORKING",
        "has a connection, and what it sends is passed on",
        {
            IDLE: "the connection is taken back, or lost",
            HELD: "its session is audited, its transaction being over; or is asked why its write was refused",
            UNSETTLED: "its next message has to wait",
        },
    ),
    QUEUED: State(
        "QUEUED",
        "has a place in its micro-pool's queue",
        {
            WORKING: "its turn has come",
            HELD: "its turn has come, and the connection changes over first",
            IDLE: "it has waited for too long, or leaves",
        },
    ),
    HELD: State(
        "HELD",
        "has a connection that is changing over to its settings, is being audited, or is asked whether it writes",
        {
            WORKING: "the settings are in place or refused; the audit is answered; its refused write is its own",
            HELD: "what the audit has found is put back",
            IDLE: "the connection is lost, or does not write; or its client leaves",
        },
    ),
    UNSETTLED: State(
        "UNSETTLED",
        "has a message that waits for an answer, for others to leave a database, or for a cancel request of Forebay's",
        {
            WORKING: "the message can be read again",
            IDLE: "the message can be read again; the connection was taken back",
            HELD: "its transaction is over, and its session is audited",
            GONE: "it ends",
        },
    ),
    GONE: State("GONE", "what it was told last is still being sent, or it is closed", {}),
    FREE: State(
        "FREE",
        "is idle in its micro-pool, or goes to the first in the queue",
        {
            LENT: "a client borrows it",
            SETTLING: "Forebay asks something, such as the server's limits",
            SHUT: "it is retired, makes room, or is lost",
        },
    ),
    LENT: State("LENT", "has a client", {SETTLING: "it is taken back, or its client has left"}),
    SETTLING: State(
        "SETTLING",
        "has no client: answers are counted off, it is cleaned, or Forebay asks something",
        {
            FREE: "it is clean",
            SETTLING: "the next step is sent",
            PARKED: "it is clean, and a cancel request for its last client is under way",
            SHUT: "it cannot be cleaned, or is lost",
        },
    ),
    PARKED: State(
        "PARKED",
        "is clean, but a cancel request could still hit what it runs next",
        {FREE: "the cancel request is delivered", SHUT: "it is lost"},
    ),
    SHUT: State("SHUT", "is closed", {}),
}

cdef int _fill() except -1:
    cdef int now, to
    for now, state in TABLE.items():
        for to in state.moves:
            ALLOWED[now] |= 1 << to
    return 0


_fill()


cdef int refuse_move(int now, int to) except -1:
    raise StateError(f"{TABLE[now].name} cannot become {TABLE[to].name}")


def check(int now, int to) -> int:
    """As ``moved``, for Python."""
    return moved(now, to)
