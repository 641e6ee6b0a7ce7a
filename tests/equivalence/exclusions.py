"""What programs do not do, because it is known to differ (see differences.NOT_ASKED and KNOWN), or
ends the server: the pieces are changed so that they do something like it."""

from collections import defaultdict
from collections.abc import Sequence

from tests.equivalence.lanes import Step
from tests.equivalence.wire import Op

# What settings decide when it is read.
LITERALS = (
    "'3.2.2024'::date",
    "extract(epoch FROM timestamptz '2024-01-01 12:00')::int",
    "extract(hour FROM interval '-1 2:00')::int",
    "('{null}'::text[])[1] IS NULL",
    "(1 = NULL) IS NULL",
)


def without_known(steps: Sequence[Step]) -> list[Step]:
    """The program, or what is left of one, without what is known to differ."""
    found = _undescribed(_parsed_again(_closed(_apart(list(steps)))))
    # Some Syncs have been added.
    return _ended([Step(step.lane, tuple(bound(step.ops))) for step in found])


def bound(ops: Sequence[Op]) -> list[Op]:
    """Nothing is executed in the unnamed portal that the same batch has not bound: what a failed
    simple query has left there crashes PostgreSQL 18.6 in an aborted transaction."""
    found: list[Op] = []
    bound = False
    for op in ops:
        bound = op[0] not in "SQ" and (bound or op[:2] == ("B", ""))
        if bound or (op[:2] != ("E", "") and op[:3] != ("D", "P", "")):
            found.append(op)
    return found


def told(ops: list[Op]) -> list[Op]:
    """What returns something else under another search_path is described when it gets a name (see
    differences.NOT_ASKED); what does after a change to its table also by its portal."""
    found: list[Op] = []
    for number, op in enumerate(ops):
        found.append(op)
        if op[0] == "P":
            has_portal = ("D", "P", "") in ops[number : number + 3]
            changes = "shape" in op[2] and not has_portal
            if changes or (op[1] and "place" in op[2]):
                found.append(("D", "S", op[1]))
    return found


def _ended(steps: list[Step]) -> list[Step]:
    """Behind a Query that follows an Execute something is bound before the Sync: PostgreSQL 18.6
    forgets else to end their transaction, and fails the next statement (see
    differences.NOT_ASKED)."""
    found: list[Step] = []
    for step in steps:
        ops: list[Op] = []
        executed = open_ended = False
        for op in step.ops:
            if op[0] == "S":
                ops += [("P", "", "SELECT 1"), ("B", "", "")] if open_ended else []
                executed = open_ended = False
            elif op[0] == "E":
                executed, open_ended = True, False
            elif op[0] == "Q":
                open_ended = executed
            elif op[0] in "BD":
                open_ended = False
            ops.append(op)
        found.append(Step(step.lane, tuple(ops)))
    return found


def _apart(steps: list[Step]) -> list[Step]:
    """Nothing follows what takes settings back to those of the login in its batch: they are put
    back behind that, and are gone for as long as a transaction in it is aborted (docs/sessions.md).
    If nothing was asked for at the login, no transaction begins behind DISCARD ALL. A name may
    stand for any text that it was ever given: a Parse may be skipped."""
    asked: set[int] = set()
    texts: dict[tuple[int, str], list[str]] = defaultdict(list)
    found: list[Step] = []
    for step in steps:
        ops: list[Op] = []
        reset = False
        for op in step.ops:
            if op[0] == "connect":
                (asked.add if len(op) > 1 else asked.discard)(step.lane)
            elif op[0] == "P":
                texts[step.lane, op[1]].append(op[2])
            if op[0] == "S":
                reset = False
            elif op[0] in ("P", "B", "D", "Q") and reset:
                begun = texts[step.lane, op[2]] if op[0] == "B" else op[1:2] * (op[0] == "Q")
                begins = any(text.startswith(("BEGIN", "START")) for text in begun)
                if begins or (step.lane in asked and op[:2] != ("D", "P")):
                    ops.append(("S",))
                    reset = False
            if op[0] == "B":
                is_asked = step.lane in asked
                for text in texts[step.lane, op[2]]:
                    reset |= text == "DISCARD ALL" or (is_asked and _resets(text))
            ops.append(op)
        found.append(Step(step.lane, tuple(ops)))
    return found


def _resets(text: str) -> bool:
    words = "DEFAULT", "TIME ZONE LOCAL", "NULL, false"
    return text.startswith(("RESET", "DISCARD ALL")) or any(word in text for word in words)


def _undescribed(steps: list[Step]) -> list[Step]:
    """FETCH and EXECUTE are not described before they are bound (see differences.NOT_ASKED), and
    nothing follows in its batch if another statement is that was prepared earlier: it may fail, in
    an aborted transaction, and then skip a ROLLBACK (see differences.KNOWN)."""
    finding: set[tuple[int, str]] = set()
    found: list[Step] = []
    for step in steps:
        ops: list[Op] = []
        fresh: set[str] = set()
        for op in step.ops:
            if op[0] == "P":
                fresh.add(op[1])
                if op[2].startswith(("FETCH", "EXECUTE")):
                    finding.add((step.lane, op[1]))
            elif op[0] == "S":
                fresh.clear()
            if op[:2] != ("D", "S"):
                ops.append(op)
            elif (step.lane, op[2]) not in finding:
                ops += [op] if op[2] in fresh else [op, ("S",)]
        found.append(Step(step.lane, tuple(ops)))
    return found


def _has_literal(text: str) -> bool:
    return any(literal in text for literal in LITERALS)


def _closed(steps: list[Step]) -> list[Step]:
    """A literal that settings decide is not used again in a later batch (see
    differences.NOT_ASKED)."""
    found: list[Step] = []
    for step in steps:
        ops: list[Op] = []
        names: list[str] = []
        for op in step.ops:
            if op[0] == "Q":
                ops += [("C", "S", name) for name in names]
            ops.append(op)
            if op[0] == "P" and op[1] and _has_literal(op[2]):
                names.append(op[1])
            elif op[0] == "S":
                for name in names:
                    ops += [("C", "S", name), ("S",)]
                names = []
        found.append(Step(step.lane, tuple(ops)))
    return found


def _uses_unnamed(op: Op) -> bool:
    return op[:3] == ("D", "S", "") or (op[0] == "B" and op[2] == "")


def _parsed_again(steps: list[Step]) -> list[Step]:
    """What returns something else under other settings is not used again in a later batch without
    a name (see differences.NOT_ASKED)."""
    unnamed: dict[int, str] = {}
    # Lanes that may have such a statement: a Parse behind it may have failed.
    changing: set[int] = set()
    found: list[Step] = []
    for step in steps:
        ops: list[Op] = []
        fresh = False
        for op in step.ops:
            if op[0] == "query":
                changing.discard(step.lane)
            elif op[:2] == ("P", ""):
                unnamed[step.lane] = op[2]
                if "place" in op[2] or _has_literal(op[2]):
                    changing.add(step.lane)
                fresh = True
            elif op[0] in "SQ":
                fresh = False
            elif step.lane in changing and not fresh and _uses_unnamed(op):
                ops.append(("P", "", unnamed[step.lane]))
            ops.append(op)
        found.append(Step(step.lane, tuple(ops)))
    return found
