"""What traffic sees of servers is told once in a while."""

from forebay.channel import Hint
from forebay.worker.hints import AGAIN_S, Hints
from tests.unit.worker.clock import Clock


def test_of_each_kind_one_is_told_in_a_while() -> None:
    told: list[Hint] = []
    clock = Clock()
    hints = Hints("app", clock.now, lambda hint: told.append(hint) is None)
    for _ in range(3):
        hints.note("a:1", "lost")
        hints.note("a:1", "terminated")
        hints.note("b:1", "lost")
    assert [(each.address, each.kind) for each in told] == [
        ("a:1", "lost"),
        ("a:1", "terminated"),
        ("b:1", "lost"),
    ]
    clock.pass_time(2 * AGAIN_S)
    hints.note("a:1", "lost")
    assert len(told) == 4
    assert len(hints._told) == 1
