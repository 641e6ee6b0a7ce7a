"""How a connection changes over from one client's settings to another's.

A statement must never run under the settings of the last client: any of them may decide whose rows
it finds. So either the success of the change-over is seen before the client's message is sent
(``plain``), or the database itself skips the message if the change-over has failed (``guarded``):

    Close     GUARD, if there is one (a function may have made it)
    Query     what takes settings back and puts others in place; PREPARE GUARD
    Describe  GUARD
    Close     GUARD
    ...       what the client has sent

All of the Query is one transaction. Unless it succeeds GUARD does not exist, so Describe fails, and
after an error in the extended protocol PostgreSQL reads nothing before the next Sync, not even a
simple Query. If it succeeds Describe leaves no trace: no snapshot is taken, so that the client's
BEGIN may still choose an isolation level, and no command was executed, so that its VACUUM is alone.
GUARD is made by SQL's PREPARE: behind a Parse of the protocol a statement_timeout would run on to
the Sync, and could fire when GUARD is there, which no rollback removes, and the settings are not
committed yet.

Sources: PostgreSQL's protocol chapter, "Extended Query"; PostgresMain, exec_execute_message and
PreventInTransactionBlock in its source.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple
from weakref import WeakSet

from forebay.protocol.messages import message, query
from forebay.session.settings import (
    IDENTITY,
    Settings,
    Values,
    identity_last,
    quote_identifier,
    quote_literal,
)
from forebay.sql.names import NAME_BYTES

# A name that no client and no statement of a client has.
GUARD: Final = "_forebay_settings"
# The most arguments of a function.
ARGUMENTS_LIMIT: Final = 100

# What was accepted once is accepted again, on any connection and in the name of any role. (Of other
# settings the database may refuse what it has accepted before: temp_buffers once there were
# temporary tables, a configuration for text search that is gone, a role. Their success is seen
# first, so that another connection can be tried, or this one be cleaned.)
SURE = frozenset({"search_path", "row_security"}) | {
    *("application_name", "client_encoding", "client_min_messages", "datestyle", "timezone"),
    *("intervalstyle", "bytea_output", "extra_float_digits", "xmlbinary", "xmloption"),
    *("standard_conforming_strings", "escape_string_warning", "backslash_quote", "array_nulls"),
    *("quote_all_identifiers", "transform_null_equals", "check_function_bodies"),
    *("statement_timeout", "lock_timeout", "transaction_timeout", "idle_session_timeout"),
    *("idle_in_transaction_session_timeout", "synchronous_commit", "password_encryption"),
    *("default_transaction_isolation", "default_transaction_read_only"),
    *("default_transaction_deferrable", "default_statistics_target", "constraint_exclusion"),
    *("work_mem", "maintenance_work_mem", "logical_decoding_work_mem", "hash_mem_multiplier"),
    *("random_page_cost", "seq_page_cost", "cpu_tuple_cost", "cpu_index_tuple_cost"),
    *("cpu_operator_cost", "parallel_tuple_cost", "parallel_setup_cost", "effective_cache_size"),
    *("jit", "jit_above_cost", "jit_inline_above_cost", "jit_optimize_above_cost"),
    *("plan_cache_mode", "cursor_tuple_fraction", "recursive_worktable_factor"),
    *("from_collapse_limit", "join_collapse_limit", "geqo", "geqo_threshold", "geqo_effort"),
    *("geqo_pool_size", "geqo_generations", "geqo_selection_bias", "geqo_seed"),
    *("max_parallel_workers", "max_parallel_workers_per_gather"),
    *("max_parallel_maintenance_workers", "min_parallel_table_scan_size"),
    *("min_parallel_index_scan_size", "parallel_leader_participation", "synchronize_seqscans"),
    *("enable_async_append", "enable_bitmapscan", "enable_distinct_reordering"),
    *("enable_gathermerge", "enable_group_by_reordering", "enable_hashagg", "enable_hashjoin"),
    *("enable_incremental_sort", "enable_indexonlyscan", "enable_indexscan", "enable_material"),
    *("enable_memoize", "enable_mergejoin", "enable_nestloop", "enable_parallel_append"),
    *("enable_parallel_hash", "enable_partition_pruning", "enable_partitionwise_aggregate"),
    *("enable_partitionwise_join", "enable_presorted_aggregate", "enable_self_join_elimination"),
    *("enable_seqscan", "enable_sort", "enable_tidscan"),
    *("gin_fuzzy_search_limit", "gin_pending_list_limit", "stats_fetch_consistency"),
    *("vacuum_cost_delay", "vacuum_cost_limit", "vacuum_cost_page_dirty"),
    *("vacuum_cost_page_hit", "vacuum_cost_page_miss"),
}
# Custom settings, with a dot, are accepted by all connections, but where a module is loaded that
# owns the first part of their name: it refuses names (and, to most roles, values) that others took,
# and takes off those that are there. These are PostgreSQL's modules that have settings, and others.
MODULES = frozenset(
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
# These hold for a change-over, too, and may cut it short if they are below a second: it is seen
# first then, and tried elsewhere. So it is if they are the next client's, for they run from the
# guard on: should one fire before the client's message has come as a whole, the client would hear
# an error, and the message would run.
TIMEOUTS = "statement_timeout", "transaction_timeout"
_SECOND_OR_MORE = re.compile(r"0|[1-9]\d{3,}|[1-9]\d*\s*(s|min|h|d)")  # in ms, as PostgreSQL has it
# Change-overs between two Settings that are remembered ready to send.
REPLAYS_KEPT = 1024
# ... if the Settings are no longer than this: a client may set 1,000 of 8,192 characters.
KEPT_CHARACTERS = 16384


class Replay(NamedTuple):
    """Messages that change a connection over; ``must_confirm``: the success of ``plain`` must be
    seen before anything else is sent."""

    plain: bytes
    guarded: bytes
    must_confirm: bool


class Replays:
    """What changes a connection over from one client's settings to another's.

    `init_query` is what every new connection has run: a setting that is taken back must become what
    that had made it, so it runs again behind a RESET.
    """

    def __init__(self, init_query: str = "") -> None:
        self._init_query = init_query
        self._doubted: WeakSet[Settings] = WeakSet()
        self._kept: OrderedDict[tuple[Settings, Settings, bool, bool], Replay] = OrderedDict()

    def doubt(self, settings: Settings) -> None:
        """These were sure to be accepted, and were refused: see their success from now on."""
        self._doubted.add(settings)
        self._kept.clear()

    def replay(
        self, old: Settings, new: Settings, deallocates: bool = False, discards_plans: bool = False
    ) -> Replay:
        """From `old` to `new`. Asked for, all that is prepared, or planned, on the connection is
        forgotten as well."""
        key = (old, new, deallocates, discards_plans)
        found = self._kept.get(key)
        if found is None:
            found = self._build(old, new, deallocates, discards_plans)
            pairs = old.values + new.values
            if sum(len(name) + len(value) for name, value in pairs) <= KEPT_CHARACTERS:
                self._kept[key] = found
            if len(self._kept) > REPLAYS_KEPT:
                self._kept.popitem(last=False)
        return found

    def _build(
        self, old: Settings, new: Settings, deallocates: bool, discards_plans: bool
    ) -> Replay:
        before, after = dict(old.values), dict(new.values)
        taken_back = [name for name in before if name and name not in after]
        changed = [name for name, value in after.items() if before.get(name) != value]
        starts_over = bool(self._init_query) and (bool(taken_back) or "" in before)
        if starts_over:
            # It may set anything: what the client asked for must come after it, all of it.
            changed = list(after)
        identity = [name for name in before if name in IDENTITY]
        if identity and (starts_over or not all(map(_is_sure, taken_back + changed))):
            # The rest takes the rights of the user who logged in; and a role ends with the
            # session's user who took it on.
            taken_back = identity + [name for name in taken_back if name not in IDENTITY]
            changed = [name for name in after if name in changed or name in IDENTITY]
        changed.sort(key=identity_last)
        statements = ["DEALLOCATE ALL"] if deallocates else []
        statements += [_reset(name) for name in taken_back]
        if starts_over:
            statements.append(self._init_query + "\n")  # it may end with a comment
        statements += _put_in_place({name: after[name] for name in changed})
        if discards_plans or old.of_plans != new.of_plans:
            statements.append("DISCARD PLANS")
        # init_query may end the transaction that a guard relies on.
        is_safe = not starts_over and all(map(_is_sure, [*taken_back, *changed]))
        is_safe = is_safe and not (is_hasty(before) or is_hasty(after))
        is_safe = is_safe and self._doubted.isdisjoint((old, new))
        return Replay(query(";".join(statements)), _guarded(statements), not is_safe)


def _put_in_place(values: Mapping[str, str]) -> list[str]:
    """A statement that sets them, in this order. (All values together may be longer than anything
    that the relay keeps of an answer: it holds only numbers.)"""
    calls = [
        f"pg_catalog.set_config({quote_literal(name)}, {quote_literal(value)}, false)"
        for name, value in values.items()
    ]
    groups = [calls[at : at + ARGUMENTS_LIMIT] for at in range(0, len(calls), ARGUMENTS_LIMIT)]
    columns = ", ".join(f"pg_catalog.num_nulls({', '.join(group)})" for group in groups)
    return [f"SELECT {columns}"] if columns else []


def _guarded(statements: list[str]) -> bytes:
    """See the module's description."""
    guard = f"S{GUARD}\0".encode()
    making = [*statements, f"PREPARE {GUARD} AS VALUES (true)"]
    close = message(b"C", guard)
    return close + query(";".join(making)) + message(b"D", guard) + close


def _reset(name: str) -> str:
    if name.isascii() and all(len(part) <= NAME_BYTES for part in name.split(".")):
        return f"RESET {quote_identifier(name)}"
    # As an identifier it would be cut, or read by the last client's encoding.
    call = f"pg_catalog.set_config({quote_literal(name)}, NULL, false)"
    return f"SELECT pg_catalog.num_nulls({call})"


def is_hasty(settings: Mapping[str, str]) -> bool:
    """Whether even a change-over may take longer than these settings allow."""
    return any(not _SECOND_OR_MORE.fullmatch(settings.get(name, "0")) for name in TIMEOUTS)


def without_refused(values: Values, startup: Values, message: str) -> Values:
    """The settings without those with a dot that an error message names: PostgreSQL, too, takes off
    what a module that was loaded since does not accept. What was asked for at the login stays."""
    said = message.lower()
    return tuple(
        pair
        for pair in values
        if "." not in pair[0] or f'"{pair[0]}"' not in said or pair in startup
    )


def _is_sure(name: str) -> bool:
    module, dot, _ = name.partition(".")
    return name in SURE or (bool(dot) and module not in MODULES)
