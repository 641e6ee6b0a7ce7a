"""The rows of the table of causes: complete, and the same as what cannot be derived from them."""

import re
from pathlib import Path
from typing import get_args

import pytest

from forebay.config.settings import FunctionCode
from forebay.session.audit import audit_query, read_audit
from forebay.session.causes import AUDITED, BY_EFFECT, OUTLASTING, WITH_ITS_CLIENT, PinReason
from forebay.session.functions import REASONS
from forebay.session.pins import Notes, PinCounts, note_effects
from forebay.session.rds import rds_explanation, rds_pin_of
from forebay.sql.effects import Effect
from forebay.sql.functions import KNOWN
from forebay.sql.reasons import Reason

ROOT = Path(__file__).parents[3]

each_reason = pytest.mark.parametrize("reason", PinReason)


@each_reason
def test_a_row_is_known_by_its_code(reason: PinReason) -> None:
    assert reason.name == reason.value == reason.cause.code == str(reason)
    assert PinReason.of(reason.cause.code) is reason


def test_other_codes_are_none() -> None:
    with pytest.raises(ValueError, match="WHAT"):
        PinReason.of("WHAT")


@each_reason
def test_what_is_said_are_sentences(reason: PinReason) -> None:
    cause = reason.cause
    for sentence in (cause.sentence, cause.rds_sentence, cause.rds_named or "-.", cause.hint):
        assert sentence.endswith((".", ")"))
    assert rds_explanation(reason) == cause.rds_sentence
    assert not cause.ends.endswith(".")  # in the midst of a sentence


@each_reason
def test_what_is_asked_for_ends_with_its_cause(reason: PinReason) -> None:
    asked = reason in AUDITED
    assert asked == bool(reason.cause.question)
    assert (reason in {BY_EFFECT[each] for each in reason.cause.effects}) or not asked
    if asked:
        assert reason.cause.ends != WITH_ITS_CLIENT
        assert reason not in OUTLASTING  # what DISCARD leaves is not asked for
        assert reason.cause.question.encode() in audit_query("u", AUDITED, frozenset())
        assert read_audit([[reason.value, "", ""]]) == ((), frozenset({reason}))


def test_names_are_qualified_in_what_is_asked() -> None:
    """The client's search_path must not lend them another meaning."""
    for reason in AUDITED:
        question = reason.cause.question
        assert not re.search(r"(?:FROM|::|pid) (?!pg_catalog\.|OPERATOR)", question)
        assert not re.search(r"(?<!\.)=", question)


def test_each_effect_belongs_to_one_cause() -> None:
    assert set(BY_EFFECT) == set(Reason)
    assert len(BY_EFFECT) == sum(len(reason.cause.effects) for reason in PinReason)


@pytest.mark.parametrize("effect", Reason)
def test_each_effect_pins_for_its_cause_or_is_asked_for(effect: Reason) -> None:
    notes = Notes()
    note_effects(notes, (Effect(effect),))
    reason = BY_EFFECT[effect]
    if reason in AUDITED:
        assert notes.doubts == {reason}
    elif reason not in (PinReason.SETTING, PinReason.DISCARD, PinReason.DO_BLOCK):
        assert notes.lasting == {reason}
    assert rds_pin_of(Effect(effect)) in (None, reason)


def test_functions_are_listed_by_codes_that_have_words_for_it() -> None:
    listable = [reason.value for reason in PinReason if reason.cause.listed_as]
    assert [*listable, "NONE"] == list(REASONS) == list(get_args(FunctionCode))
    assert all(PinReason(reason).cause.effects for reason in listable)


def test_calls_of_known_functions_can_be_told() -> None:
    found = {BY_EFFECT[effect] for effect in KNOWN.values()} - {PinReason.SETTING}
    assert found == {reason for reason in PinReason if reason.cause.called}


def test_codes_that_can_be_listed_are_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    section = page.partition("## Functions that change the session")[2].partition("\n## ")[0]
    codes = set(re.findall(r"`([A-Z_]{4,})`", "\n".join(re.findall(r"^\| .*", section, re.M))))
    assert codes == set(REASONS)


@each_reason
def test_each_has_figures(reason: PinReason) -> None:
    counts = PinCounts()
    counts.begin(reason)
    figures = counts.figures()
    assert figures["pins"][reason.value] == figures["clients_pinned"][reason.value] == 1
