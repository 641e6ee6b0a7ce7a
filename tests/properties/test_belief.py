"""What is believed of random pipelines, against a small model of how PostgreSQL treats them."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.relay.beliefs import BELIEFS, Pipeline

NAMES = "abc"
VERBS = ("parse", "parse_unnamed", "close", "close_unnamed", "drop_all", "query", "refute")


@dataclass(frozen=True)
class Step:
    """A message, or "sync"; or "answer": the next one is answered."""

    verb: str
    name: str = ""
    is_bad: bool = False
    is_cut_short: bool = False


@dataclass
class Session:
    """PostgreSQL's side: names, the statement without one, and what it skips."""

    names: dict[str, int] = field(default_factory=dict)
    unnamed: int | None = None
    skips: bool = False

    def run(self, step: Step, number: int, *, believes: bool = False) -> bool:
        """Whether it succeeds; `believes`: it does."""
        fails = step.is_bad and not believes
        if step.verb == "parse":
            if not fails:
                self.names[step.name] = number
        elif step.verb == "parse_unnamed":
            self.unnamed = None if fails else number
        elif step.verb == "close":
            if not fails:
                self.names.pop(step.name, None)
        elif step.verb == "close_unnamed":
            self.unnamed = None
        elif step.verb == "drop_all":
            if not fails:
                self.names.clear()
        elif step.verb == "query":
            self.unnamed = None
        elif step.verb == "refute" and fails and not step.is_cut_short:
            self.names.pop(step.name, None)
        return not fails or step.verb == "query"


steps = st.lists(
    st.one_of(
        st.builds(
            Step,
            st.sampled_from(VERBS),
            st.sampled_from(NAMES),
            st.integers(0, 5).map(lambda drawn: drawn == 0),
            st.booleans(),
        ),
        st.builds(Step, st.sampled_from(("sync", "answer", "answer"))),
    ),
    max_size=60,
)


class Run:
    """A pipeline and the session that answers it."""

    def __init__(self, module: Any) -> None:
        self.pipeline = Pipeline(module)
        self.session = Session()
        self.under_way: list[tuple[Step, int]] = []
        self.failed = False  # an error is known, and its Sync is not sent

    def send(self, step: Step, number: int) -> None:
        if step.verb == "sync":
            self.failed = False
            self.under_way.append((step, number))
            self.pipeline.end_batch()
        elif not self.failed:
            self.under_way.append((step, number))
            self.pipeline.send(*self._changes(step, number))

    def _changes(self, step: Step, number: int) -> list[tuple[Any, ...]]:
        names, unnamed = self.pipeline.names, self.pipeline.unnamed
        return {
            "parse": [(names, step.name, number)],
            "parse_unnamed": [(unnamed, None, number, None)],
            "close": [(names, step.name, None)],
            "close_unnamed": [(unnamed, None, None, None)],
            "drop_all": [(names, self.pipeline.all, None)],
            "query": [(unnamed, None, None, None)],
            "refute": [(names, step.name, self.pipeline.keep, None, True)],
        }[step.verb]

    def answer(self) -> None:
        if not self.under_way:
            return
        step, number = self.under_way.pop(0)
        if step.verb == "sync":
            return
        if self.session.run(step, number):
            self.pipeline.unanswered.done()
            return
        skipped = 0
        while self.under_way and self.under_way[0][0].verb != "sync":
            self.under_way.pop(0)
            skipped += 1
        self.failed = not self.under_way
        self.pipeline.unanswered.failed(1 + skipped, True, step.is_cut_short)

    def check(self) -> None:
        assert self.pipeline.names.confirmed == self.session.names
        assert self.pipeline.unnamed.confirmed == self.session.unnamed
        believed = Session(dict(self.session.names), self.session.unnamed)
        for step, number in self.under_way:
            believed.run(step, number, believes=True)
        assert self.pipeline.names.believed() == believed.names
        assert self.pipeline.unnamed.now() == believed.unnamed
        for name in NAMES:
            assert self.pipeline.names.get(name) == believed.names.get(name)


@pytest.mark.parametrize("which", sorted(BELIEFS))
@given(steps)
def test_belief_is_what_the_rest_makes_of_what_is_confirmed(
    which: str, program: list[Step]
) -> None:
    run = Run(BELIEFS[which])
    for number, step in enumerate(program, 1):
        if step.verb == "answer":
            run.answer()
        else:
            run.send(step, number)
        run.check()
    while run.under_way:
        run.answer()
        run.check()
    assert not run.pipeline.names.is_changing()
    assert run.pipeline.unanswered.first is None
