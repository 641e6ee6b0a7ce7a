"""The functions that are taken for PostgreSQL's own are those that a real one has."""

from forebay.sql.own_functions import OWN_FUNCTIONS
from tests.harness import Postgres, TestDatabase
from tests.harness.raw import RawClient

# All that a statement can call: nothing of types, triggers and indexes.
_QUERY = """
SELECT DISTINCT proname FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
AND prorettype <> ALL ('{internal, cstring, trigger, event_trigger, language_handler}'::regtype[])
AND prorettype <> ALL ('{index_am_handler, table_am_handler, tsm_handler}'::regtype[])
AND prorettype <> 'fdw_handler'::regtype
AND NOT proargtypes::oid[] && '{internal, cstring}'::regtype[]::oid[]
AND proname NOT LIKE 'binary_upgrade%' AND proname !~ '(send|typmodin|typmodout)$'
"""
# They run SQL that they are given as a string.
_RUNNING = {
    *("query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema"),
    *("ts_stat", "ts_rewrite"),
}
# Beyond those: of other versions (12 to 18 have each at least once).
_OF_OTHER_VERSIONS = 40


def test_a_database_has_them(postgres: Postgres, database: TestDatabase) -> None:
    with RawClient(postgres.port, database) as client:
        rows = client.query(_QUERY)
    there = {str(row[0]) for row in rows} - _RUNNING
    ours = {name.decode() for name in OWN_FUNCTIONS}
    assert there - ours == set()
    assert len(ours - there) < _OF_OTHER_VERSIONS
    assert not ours & _RUNNING
