"""All metrics of Forebay: the only list. Prometheus, CloudWatch, OpenTelemetry, docs/metrics.md,
the dashboard of Grafana and the alert rules have their names from here.
"""

from functools import partial
from typing import Final

from forebay import __version__
from forebay.metrics.metric import NODE, PROCESS, Kind, Metric, Scope
from forebay.metrics.ours import CLIENTS, CREDENTIALS, DATABASE, SERVERS, SESSIONS
from forebay.metrics.rds import RDS
from forebay.metrics.readers import field, pool_mean

GAUGE, COUNTER, LATENCY, MEAN = Kind.GAUGE, Kind.COUNTER, Kind.LATENCY, Kind.MEAN

# Micro-pools may be hundreds, and CloudWatch bills each metric: it does not get them.
_pool = partial(Metric, scope=Scope.MICRO_POOL, dimensions=())
_process = partial(Metric, scope=Scope.PROCESS, dimensions=(PROCESS,))
_node = partial(Metric, scope=Scope.NODE, dimensions=(NODE,))

MICRO_POOLS: Final = (
    _pool("MicroPoolClients", GAUGE, field("clients"), "Clients that are logged in"),
    _pool(
        "MicroPoolClientsWaiting",
        GAUGE,
        field("waiting"),
        "Clients that wait for a database connection",
    ),
    _pool(
        "MicroPoolClientsWaitingLongest",
        GAUGE,
        field("waited_s"),
        "For how long the first of them has waited",
        unit="Seconds",
    ),
    _pool("MicroPoolDatabaseConnections", GAUGE, field("connections"), "Open database connections"),
    _pool(
        "MicroPoolDatabaseConnectionsOpening",
        GAUGE,
        field("opening"),
        "Database connections that are being opened",
    ),
    _pool(
        "MicroPoolDatabaseConnectionsIdle",
        GAUGE,
        field("idle"),
        "Open database connections that nobody has",
    ),
    _pool(
        "MicroPoolDatabaseConnectionsBorrowed",
        GAUGE,
        field("borrowed"),
        "Database connections that clients have, or that are cleaned after one",
    ),
    _pool("MicroPoolQueries", COUNTER, field("queries"), "Queries that were answered"),
    _pool(
        "MicroPoolBorrowLatency",
        MEAN,
        pool_mean("wait_us", "borrows"),
        "How long clients waited for a database connection, those included that got one at once",
        unit="Microseconds",
    ),
    _pool(
        "MicroPoolTransactionLatency",
        MEAN,
        pool_mean("transaction_us", "transactions"),
        "How long transactions took at the database",
        unit="Microseconds",
    ),
    _pool(
        "MicroPoolQueryDatabaseResponseLatency",
        MEAN,
        pool_mean("query_us", "queries"),
        "How long the database took for a query",
        unit="Microseconds",
    ),
    _pool(
        "MicroPoolReceivedBytes",
        COUNTER,
        field("received_bytes"),
        "Bytes that came from clients",
        unit="Bytes",
    ),
    _pool(
        "MicroPoolSentBytes",
        COUNTER,
        field("sent_bytes"),
        "Bytes that went to clients",
        unit="Bytes",
    ),
    _pool(
        "MicroPoolPreparedStatementClientParses",
        COUNTER,
        field("client_parses"),
        "Statements with a name that clients have prepared",
    ),
    _pool(
        "MicroPoolPreparedStatementServerParses",
        COUNTER,
        field("server_parses"),
        "Statements with a name that were prepared on database connections",
    ),
    _pool(
        "MicroPoolPreparedStatementBinds",
        COUNTER,
        field("binds"),
        "Statements with a name that clients have bound",
    ),
    _pool(
        "MicroPoolSettingsReplays",
        COUNTER,
        field("replays"),
        "Database connections that changed over to another client's settings",
    ),
)

PROCESSES: Final = (
    _process(
        "ProcessCPUTime", COUNTER, field("cpu_s"), "Processor time, user and system", unit="Seconds"
    ),
    _process(
        "ProcessResidentMemory", GAUGE, field("resident_bytes"), "Resident memory", unit="Bytes"
    ),
    _process(
        "ProcessAnonymousMemory",
        GAUGE,
        field("anonymous_bytes"),
        "Resident memory that is nobody else's and no file's",
        unit="Bytes",
    ),
    _process(
        "ProcessOpenDescriptors", GAUGE, field("descriptors"), "Open file descriptors", unit="Count"
    ),
    _process(
        "ProcessStartTime",
        GAUGE,
        field("started_at"),
        "When it started, in Unix time",
        unit="Seconds",
        dimensions=(),
    ),
    _node(
        "WorkerRestarts",
        COUNTER,
        field("worker_restarts"),
        "Workers that were started because another had died",
    ),
    _node(
        "WorkerLateness",
        LATENCY,
        lambda figures: figures.counted.lateness,
        "By how much later than planned the worker's loop did what was due",
        unit="Microseconds",
    ),
    _node(
        "BuildInfo",
        GAUGE,
        lambda _: {__version__: 1},
        "The version that runs: always 1",
        dimensions=(),
        label="Version",
    ),
)

CATALOGUE: Final = (
    *RDS,
    *CLIENTS,
    *DATABASE,
    *SERVERS,
    *SESSIONS,
    *CREDENTIALS,
    *MICRO_POOLS,
    *PROCESSES,
)
