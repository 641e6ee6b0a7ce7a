"""The facts of any text are those that its parts have by themselves."""

from hypothesis import given
from hypothesis import strategies as st

from forebay.sql.effects import effects
from forebay.sql.facts import FactsCache, facts_of
from forebay.sql.reading import Reading

from .sql_texts import any_text, valid_text

readings = st.builds(Reading, st.sampled_from(["UTF8", "LATIN1", "SJIS"]), st.booleans())


@given(st.one_of(any_text, valid_text().map(str.encode)), readings, st.booleans())
def test_effects_are_those_of_the_text(text: bytes, reading: Reading, under_pg_temp: bool) -> None:
    facts = facts_of(text, reading, under_pg_temp=under_pg_temp)
    assert facts.effects == effects(
        text,
        standard_conforming_strings=reading.standard_conforming_strings,
        ambiguous_encoding=reading.is_ambiguous,
        under_pg_temp=under_pg_temp,
    )
    assert facts.asks <= facts.may_ask
    for number in range(len(facts.statements) + 1):
        assert facts.statement(number) in text


@given(st.lists(st.tuples(any_text, readings, st.booleans()), max_size=20))
def test_the_cache_answers_the_same_within_its_bounds(
    asked: list[tuple[bytes, Reading, bool]],
) -> None:
    cache = FactsCache(max_entries=3, max_text_bytes=200)
    for text, reading, under_pg_temp in asked * 2:
        found = cache.facts(text, reading, under_pg_temp)
        assert found == facts_of(text, reading, under_pg_temp=under_pg_temp)
        assert len(cache) <= 3
        assert cache.text_bytes <= 200
