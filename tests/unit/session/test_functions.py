"""What an operator's list of functions means."""

from forebay.session.functions import NOTHING_LISTED, REASONS, functions_of, settings_of
from forebay.sql.functions import KNOWN_FUNCTIONS
from forebay.sql.reasons import Reason


def test_codes_mean_effects() -> None:
    listed = functions_of({"app.take": "ADVISORY_LOCK", "prepare_it": "PREPARED_STATEMENT"})
    assert listed.called(b"app", b"take").listed == (Reason.ADVISORY_LOCK,)
    assert listed.called(b"other", b"take").listed == ()
    assert listed.called(b"", b"prepare_it").listed == (Reason.PREPARE,)


def test_none_takes_a_known_function_out() -> None:
    assert REASONS["NONE"] is None
    listed = functions_of({"setseed": "NONE", "nextval": "NONE"})
    assert listed.called(b"", b"nextval").known is None
    assert listed.ignored == {b"setseed", b"nextval"}


def test_settings_are_known_in_lower_case() -> None:
    assert settings_of(["App.Tenant", "app.tenant", "A.B"]) == {"app.tenant", "a.b"}


def test_nothing_listed() -> None:
    assert NOTHING_LISTED.functions is KNOWN_FUNCTIONS
    assert not NOTHING_LISTED.settings
