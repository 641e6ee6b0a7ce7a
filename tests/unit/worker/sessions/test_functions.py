"""What an operator's list of functions means to the sessions of a proxy."""

from typing import Any, get_args

import pytest

from forebay.config.settings import FunctionCode, ProxySettings, TargetSettings
from forebay.relay.scan.names import FunctionNames
from forebay.session.causes import PinReason
from forebay.session.functions import REASONS
from forebay.session.meaning import Context
from forebay.session.pins import Notes, minimal_pin, note_effects
from forebay.session.settings import InternTable
from forebay.sql.effects import effects
from forebay.sql.reading import Reading
from forebay.worker.sessions.functions import NOTHING_SOUGHT, SoughtFunctions, sought_by
from forebay.worker.sessions.statements import StatementTable


def listed(functions: dict[str, FunctionCode], **proxy: Any) -> SoughtFunctions:
    target = TargetSettings(hosts=["db"])
    return sought_by(ProxySettings(target=target, session_functions=functions, **proxy))


def noted(text: str, of: SoughtFunctions) -> Notes:
    notes = Notes()
    note_effects(notes, effects(text, functions=of.functions), of)
    return notes


def test_codes_are_those_of_pins() -> None:
    assert get_args(FunctionCode) == tuple(REASONS)
    assert set(REASONS) - {"NONE"} < {reason.value for reason in PinReason}


@pytest.mark.parametrize("code", [code for code in REASONS if code not in ("NONE", "SETTING")])
def test_a_call_pins_for_the_reason_that_is_listed(code: FunctionCode) -> None:
    of = listed({"app.f": code})
    text = b"SELECT app.f()"
    assert minimal_pin(effects(text, functions=of.functions), of) == code
    assert minimal_pin(effects(text)) is None


def test_what_can_be_asked_for_is_in_doubt_and_the_rest_lasts() -> None:
    of = listed({"take": "ADVISORY_LOCK", "seed": "SESSION_FUNCTION"})
    notes = noted("SELECT take(), seed()", of)
    assert notes.doubts == {PinReason.ADVISORY_LOCK}
    assert notes.lasting == {PinReason.SESSION_FUNCTION}


def test_settings_are_asked_for_after_any_listed_function() -> None:
    of = listed({"f": "SETTING", "g": "LISTEN"}, session_settings=["App.Tenant", "app.shop"])
    for text in ("SELECT f()", "SELECT g()", "DO $$ BEGIN PERFORM 1; END $$"):
        assert noted(text, of).custom == {"app.tenant", "app.shop"}
    assert noted("SELECT f()", of).reasons == frozenset()
    assert noted("SELECT f()", of).resets  # the body may have RESET what init_query had set
    assert noted("SET work_mem = 1", of).custom == set()


def test_do_blocks() -> None:
    of = listed({"nextval": "NONE", "seed": "SESSION_FUNCTION"})
    assert noted("DO $$ BEGIN PERFORM nextval('s'); END $$", of).lasting == set()
    assert noted("DO $$ BEGIN PERFORM nextval('s'); END $$", NOTHING_SOUGHT).lasting == set()
    assert noted("DO $$ BEGIN PERFORM nextval('s'), lastval(); END $$", of).lasting
    kept = listed({"nextval": "SEQUENCE"})
    assert noted("DO $$ BEGIN PERFORM nextval('s'); END $$", kept).lasting == {PinReason.SEQUENCE}
    assert noted("DO $$ BEGIN PERFORM seed(); END $$", of).lasting == {PinReason.SESSION_FUNCTION}
    load = listed({"load": "NONE"})
    assert noted("DO $$ BEGIN LOAD 'x'; END $$", load).lasting  # LOAD is a command, too


def test_the_first_look() -> None:
    of = listed({"app.f": "SETTING", "g": "NONE"})
    assert not of.is_certain(b"SELECT f()")
    assert of.is_certain(b"SELECT g()")
    assert not of.is_certain(b"SET x = 1")
    assert listed({"g": "NONE", "nextval": "SEQUENCE"}).names is None


def test_rds_proxy_has_no_list() -> None:
    assert listed({"f": "SETTING"}, pinning="rds") is NOTHING_SOUGHT


def test_prepared_statements_follow_the_list() -> None:
    table = StatementTable()
    context = Context(("db", "user"), InternTable().none, None, None, Reading("UTF8", True))
    before = table.statement(b"SELECT f()\0\0\0", context)
    other = table.statement(b"SELECT g()\0\0\0", context)
    assert before.harmless
    table.look_for(FunctionNames([b"f"]))
    assert not before.harmless
    assert other.harmless
    after = table.statement(b"SELECT 1, f()\0\0\0", context)
    assert not after.harmless
    table.look_for(None)
    assert before.harmless
    assert after.harmless


def test_only_the_block_itself_is_its_body() -> None:
    harmless = (
        "DO $$ BEGIN CREATE TYPE t AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN END $$"
    )
    for text in (
        f"{harmless}; UPDATE rows SET n = 1",
        f"SET work_mem = '1MB'; {harmless}; SELECT 'execute'",
    ):
        assert noted(text, NOTHING_SOUGHT).lasting == set()
    sets = f"{harmless}; DO $$ BEGIN SET a.b = 1; END $$"
    assert noted(sets, NOTHING_SOUGHT).lasting == {PinReason.DO_BLOCK}
