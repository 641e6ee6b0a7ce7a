"""What a driver saw by two ways, step by step: what counts as the same."""

from typing import Any

from tests.drivers.foreign.steps import Step

Record = dict[str, Any]
STALE = "0A000"  # cached plan must not change result type
ABORTED = "25P02"


def seen(record: Record) -> Record:
    """Without what tells people more: the wording of errors."""
    return {name: value for name, value in record.items() if name != "message"}


def differences(steps: list[Step], directly: list[Record], through: list[Record]) -> list[str]:
    """One text for each step whose records differ.

    A driver may be spared "cached plan must not change result type": Forebay prepares a statement
    on another connection, where PostgreSQL alone had kept the plan. It must then see at once what
    it, or a newcomer, sees directly later; its transaction goes on, which directly was aborted.
    """
    found = []
    spared: set[str] = set()  # sessions in a transaction that goes on
    for number, (step, here, there) in enumerate(zip(steps, directly, through, strict=True)):
        who = step["who"]
        forgiven = {STALE, ABORTED} if who in spared else {STALE}
        same = seen(here) == seen(there)
        if not same and here.get("error") in forgiven and "error" not in there:
            same = seen(there) == answer_later(number, steps, directly)
            if same:
                spared.add(who)
        elif not same and step["op"] == "commit" and who in spared:
            same = "error" not in there
        if step["op"] in ("begin", "commit", "rollback"):
            spared.discard(who)
        if not same:
            what = f"{who}: {step['op']} {step.get('sql', '')[:100]}"
            found.append(f"{number:4} {what}\n     directly {here}\n     through  {there}")
    return found


def answer_later(number: int, steps: list[Step], records: list[Record]) -> Record | None:
    """What the next step with the same words saw that did not fail, whose ever it was."""
    wanted = steps[number] | {"who": None}
    for step, record in zip(steps[number + 1 :], records[number + 1 :], strict=True):
        if step | {"who": None} == wanted and "error" not in record:
            return seen(record)
    return None
