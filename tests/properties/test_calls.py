"""Calls that nobody knows: reading never fails, and none is made up."""

from hypothesis import given

from forebay.sql.calls import unknown_calls
from forebay.sql.functions import KNOWN
from forebay.sql.own_functions import OWN_FUNCTIONS

from .sql_texts import any_text, valid_text


@given(any_text | valid_text().map(str.encode))
def test_what_is_found_is_known_to_nobody(text: bytes) -> None:
    for schema, name in unknown_calls(text):
        assert name
        assert schema or name not in OWN_FUNCTIONS | KNOWN.keys()
