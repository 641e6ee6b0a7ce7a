"""PostgreSQL's settings that are special to a pool: all that is known of each, in one row.

Most settings are not here: a session's are asked for, carried and put in place whatever they mean.
A row says what else is true of one. The sets behind the rows are derived from them.

What `sql` has to know in order to read a text stays there: which settings decide how text is read
(``HOW_TEXT_IS_READ``), that ``seed`` is more than a setting (``SEED``), and by what other words SET
names some (TIME ZONE, NAMES ...). Rows take the first from there, and repeat nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from forebay.session.causes import PinReason
from forebay.sql.effects import HOW_TEXT_IS_READ, SEED

# The oldest version that Forebay works with.
OLDEST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Special:
    """All that is special about one setting."""

    name: str  # in lower case
    since: int = OLDEST  # the first version that has it
    is_optional: bool = False  # only some builds or minor versions have it
    # It says whose the session is: RESET ALL leaves it alone, and plans that were made under
    # another value must not be used. By this number it is put in place behind the others, as they
    # may be set only by the user who logged in, and the session's user takes off a role.
    identity: int = 0
    # Names in a statement (and = NULL) may mean something else, or not be allowed, under another
    # value;
    decides_names: bool = False
    # literals (of types that have names) may.
    decides_literals: bool = False
    # A list of names: SET takes them one by one.
    is_list: bool = False
    # pg_settings does not list it; how it is asked for instead (of a session of `user`).
    question: str = ""
    # This value means that it is not set.
    unset: str = ""
    # pg_settings does not list it while a role is in force that may not see it.
    may_be_hidden: bool = False
    # It belongs to the transaction, though pg_settings lists it with a session's.
    is_transactions: bool = False
    # It would end a connection of the pool while nobody uses it.
    ends_idle: bool = False
    # It holds for a change-over, too, and may cut that short.
    is_timeout: bool = False
    # A value that was accepted once is accepted again, on any connection and in the name of any
    # role. (Of other settings the database may refuse what it has accepted before: temp_buffers
    # once there were temporary tables, a configuration for text search that is gone, a role. Their
    # success is seen first, so that another connection can be tried, or this one be cleaned.)
    is_sure: bool = False
    # The first version that reports it (ParameterStatus); 0: none does.
    reported: int = 0
    # Why a client is pinned that sets it for its session.
    pins: PinReason | None = None

    @property
    def decides_reading(self) -> bool:
        """Whether the setting decides where strings end, or what characters the bytes of a text
        are."""
        return self.name in HOW_TEXT_IS_READ


def _sure(names: str, since: int = OLDEST) -> tuple[Special, ...]:
    """Rows of settings that are sure to be accepted, and not special otherwise."""
    return tuple(Special(name=name, since=since, is_sure=True) for name in names.split())


def _timeout(name: str, since: int = OLDEST) -> Special:
    return Special(name=name, since=since, is_timeout=True, is_sure=True)


def _of_literals(name: str, *, is_sure: bool = True, reported: int = 0) -> Special:
    return Special(name=name, decides_literals=True, is_sure=is_sure, reported=reported)


SPECIAL: Final[tuple[Special, ...]] = (
    Special(
        name="role",
        identity=2,
        decides_names=True,
        question="SELECT '', 'role', pg_catalog.current_setting('role')"
        " WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'",
        unset="none",
    ),
    Special(
        name="session_authorization",
        identity=1,
        decides_names=True,
        question="SELECT '', 'session_authorization', session_user::pg_catalog.text"
        " WHERE session_user OPERATOR(pg_catalog.<>) {user}::pg_catalog.name",
        reported=OLDEST,
    ),
    Special(name="search_path", decides_names=True, is_list=True, is_sure=True, reported=18),
    Special(name="row_security", decides_names=True, is_sure=True),
    Special(name="transform_null_equals", decides_names=True, is_sure=True),
    _of_literals("timezone", reported=OLDEST),
    _of_literals("datestyle", reported=OLDEST),
    _of_literals("intervalstyle", reported=OLDEST),
    _of_literals("timezone_abbreviations", is_sure=False),  # a file that may be gone
    _of_literals("lc_monetary", is_sure=False),
    _of_literals("array_nulls"),
    _of_literals("xmloption"),
    Special(name="standard_conforming_strings", is_sure=True, reported=OLDEST),
    Special(name="client_encoding", is_sure=True, reported=OLDEST),
    Special(name="application_name", is_sure=True, reported=OLDEST),
    Special(name="default_transaction_read_only", is_sure=True, reported=14),
    Special(name="temp_tablespaces", is_list=True),
    Special(name="local_preload_libraries", is_list=True),
    Special(name="session_preload_libraries", is_list=True, may_be_hidden=True),
    Special(name="dynamic_library_path", may_be_hidden=True),
    Special(name="extension_control_path", since=18, may_be_hidden=True),
    Special(name="extension_destdir", is_optional=True, may_be_hidden=True),  # Debian's
    Special(name="output_plugin_libraries", is_optional=True, is_list=True, may_be_hidden=True),
    Special(name="transaction_isolation", is_transactions=True),
    Special(name="transaction_read_only", is_transactions=True),
    Special(name="transaction_deferrable", is_transactions=True),
    Special(name=SEED, pins=PinReason.SESSION_FUNCTION),  # a call of setseed
    Special(name="idle_session_timeout", since=14, ends_idle=True, is_sure=True),
    _timeout("statement_timeout"),
    _timeout("transaction_timeout", since=17),
    *_sure(
        "client_min_messages bytea_output extra_float_digits xmlbinary escape_string_warning"
        " backslash_quote quote_all_identifiers check_function_bodies lock_timeout"
        " idle_in_transaction_session_timeout synchronous_commit password_encryption"
        " default_transaction_isolation default_transaction_deferrable default_statistics_target"
        " constraint_exclusion work_mem maintenance_work_mem"
        " random_page_cost seq_page_cost cpu_tuple_cost cpu_index_tuple_cost cpu_operator_cost"
        " parallel_tuple_cost parallel_setup_cost effective_cache_size"
        " jit jit_above_cost jit_inline_above_cost jit_optimize_above_cost"
        " plan_cache_mode cursor_tuple_fraction from_collapse_limit join_collapse_limit"
        " geqo geqo_threshold geqo_effort geqo_pool_size geqo_generations geqo_selection_bias"
        " geqo_seed max_parallel_workers max_parallel_workers_per_gather"
        " max_parallel_maintenance_workers min_parallel_table_scan_size"
        " min_parallel_index_scan_size parallel_leader_participation synchronize_seqscans"
        " enable_bitmapscan enable_gathermerge enable_hashagg enable_hashjoin"
        " enable_indexonlyscan enable_indexscan enable_material enable_mergejoin enable_nestloop"
        " enable_parallel_append enable_parallel_hash enable_partition_pruning"
        " enable_partitionwise_aggregate enable_partitionwise_join enable_seqscan enable_sort"
        " enable_tidscan gin_fuzzy_search_limit gin_pending_list_limit"
        " vacuum_cost_delay vacuum_cost_limit vacuum_cost_page_dirty vacuum_cost_page_hit"
        " vacuum_cost_page_miss"
    ),
    *_sure("logical_decoding_work_mem hash_mem_multiplier enable_incremental_sort", since=13),
    *_sure("enable_async_append enable_memoize", since=14),
    *_sure("recursive_worktable_factor stats_fetch_consistency", since=15),
    *_sure("enable_presorted_aggregate", since=16),
    *_sure("enable_group_by_reordering", since=17),
    *_sure("enable_distinct_reordering enable_self_join_elimination", since=18),
)

# Custom settings, with a dot, are accepted by all connections, but where a module is loaded that
# owns the first part of their name: it refuses names (and, to most roles, values) that others took,
# and takes off those that are there. These are PostgreSQL's modules that have settings, and others.
MODULES: Final = frozenset(
    {
        *("auth_delay", "auto_explain", "basic_archive", "isn", "passwordcheck", "pg_prewarm"),
        *("pg_stat_statements", "pg_trgm", "pgcrypto", "plperl", "plpgsql", "pltcl"),
        *("postgres_fdw", "sepgsql"),
        *("age", "anon", "citus", "columnar", "cron", "hnsw", "ivfflat", "orafce", "pg_hint_plan"),
        *("pg_net", "pg_stat_kcache", "pg_qualstats", "pg_wait_sampling", "pgaudit", "pglogical"),
        *("pgsodium", "pljava", "plpgsql_check", "plv8", "postgis", "spock", "supautils"),
        *("timescaledb", "vchordrq"),
    }
)


def _names(is_meant: Callable[[Special], object]) -> frozenset[str]:
    return frozenset(each.name for each in SPECIAL if is_meant(each))


IDENTITY: Final = _names(lambda each: each.identity)
OF_NAMES: Final = _names(lambda each: each.decides_names)
OF_LITERALS: Final = OF_NAMES | _names(lambda each: each.decides_literals)
OF_MEANING: Final = OF_LITERALS | _names(lambda each: each.decides_reading)
LISTS: Final = _names(lambda each: each.is_list)
HIDDEN: Final = _names(lambda each: each.may_be_hidden)
OF_THE_TRANSACTION: Final = _names(lambda each: each.is_transactions)
TIMEOUTS: Final = _names(lambda each: each.is_timeout)
SURE: Final = _names(lambda each: each.is_sure)
(OF_IDLENESS,) = _names(lambda each: each.ends_idle)
QUESTIONS: Final = tuple(each.question for each in SPECIAL if each.question)
PINNING: Final[Mapping[str, PinReason]] = {
    each.name: each.pins for each in SPECIAL if each.pins is not None
}
_UNSET: Final = {each.name: each.unset for each in SPECIAL if each.unset}
_PLACES: Final = {each.name: each.identity for each in SPECIAL}


def place(name: str) -> int:
    """The order in which settings are put in place (see ``Special.identity``)."""
    return _PLACES.get(name, 0)


def is_asked_by_name(name: str) -> bool:
    """Returns whether the database, asked for the setting by its name, gives a value even if it is
    not set: a value that means just that (see `is_unset`)."""
    return "." in name or name in _UNSET


def is_unset(name: str, value: str) -> bool:
    """Whether this value means that it is not set."""
    return value in ("", _UNSET.get(name))


def is_sure(name: str) -> bool:
    """Whether a value that was accepted once is accepted again (see ``Special.is_sure``)."""
    module, dot, _ = name.partition(".")
    return name in SURE or (bool(dot) and module not in MODULES)
