"""Makes a program that shows a difference small."""

from collections.abc import Callable, Sequence

from tests.equivalence.lanes import Step


def shrunk(
    program: Sequence[Step], shows: Callable[[Sequence[Step]], bool], tries: int = 400
) -> list[Step]:
    """A part of the program that still ``shows`` the difference, in at most so many tries: whole
    clients are left out, then ever smaller parts, then single messages."""
    best = list(program)

    def attempt(candidate: list[Step]) -> bool:
        nonlocal best, tries
        if tries <= 0 or not candidate or len(candidate) == len(best) and candidate == best:
            return False
        tries -= 1
        if shows(candidate):
            best = candidate
            return True
        return False

    for lane in {step.lane for step in program}:
        attempt([step for step in best if step.lane != lane])
    size = len(best) // 2
    while size:
        start = len(best)
        while start > 0:
            start -= size
            attempt(best[: max(0, start)] + best[max(0, start) + size :])
        size = size // 2 if size > 1 or tries <= 0 else 0
    for number in range(len(best)):
        position = 0
        while position < len(best[number].ops) - 1:
            lane, ops = best[number]
            smaller = Step(lane, ops[:position] + ops[position + 1 :])
            if not attempt([*best[:number], smaller, *best[number + 1 :]]):
                position += 1
    return best
