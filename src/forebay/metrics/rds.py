"""The metrics of RDS Proxy, with its names, units, dimensions and meanings (Amazon Aurora User
Guide, "Monitoring RDS Proxy metrics with Amazon CloudWatch"): a part of the catalogue.
"""

from functools import partial
from typing import Final

from forebay.metrics.metric import ENDPOINT, PROXY, ROLE, TARGET, Kind, Metric
from forebay.metrics.readers import borrow_latency, histogram, limit, number

GAUGE, COUNTER, SHARE, LATENCY = Kind.GAUGE, Kind.COUNTER, Kind.SHARE, Kind.LATENCY

# OpenTelemetry's semantic conventions for database clients.
_COUNT: Final = "db.client.connection.count"
_STATE: Final = "db.client.connection.state"

_client = partial(Metric, is_rds=True, dimensions=(PROXY, ENDPOINT))
_database = partial(Metric, is_rds=True, dimensions=(PROXY, TARGET, ROLE))

RDS: Final = (
    _database(
        "AvailabilityPercentage",
        SHARE,
        number("available_s"),
        "The part of the time in which the target could be reached",
        unit="Percent",
        dimensions=(ROLE,),
    ),
    _client("ClientConnections", GAUGE, number("client_connections"), "Clients that are logged in"),
    _client(
        "ClientConnectionsClosed",
        COUNTER,
        number("client_connections_closed"),
        "Clients that have gone after they were logged in",
    ),
    _client(
        "ClientConnectionsNoTLS",
        GAUGE,
        number("client_connections_no_tls"),
        "Clients that are logged in without TLS",
    ),
    _client(
        "ClientConnectionsReceived",
        COUNTER,
        number("client_connections_received"),
        "Connections that clients have opened",
    ),
    _client(
        "ClientConnectionsSetupFailedAuth",
        COUNTER,
        number("client_connections_setup_failed_auth"),
        "Logins that failed by authentication or TLS",
    ),
    _client(
        "ClientConnectionsSetupSucceeded",
        COUNTER,
        number("client_connections_setup_succeeded"),
        "Logins that succeeded",
    ),
    _client(
        "ClientConnectionsTLS",
        GAUGE,
        number("client_connections_tls"),
        "Clients that are logged in with TLS",
    ),
    _database(
        "DatabaseConnectionRequests",
        COUNTER,
        number("database_connection_requests"),
        "Attempts to open a database connection",
    ),
    _database(
        "DatabaseConnectionRequestsWithTLS",
        COUNTER,
        number("database_connection_requests_tls"),
        "Attempts to open a database connection with TLS",
    ),
    _database(
        "DatabaseConnections", GAUGE, number("database_connections"), "Open database connections"
    ),
    _client(
        "DatabaseConnectionsBorrowLatency",
        LATENCY,
        borrow_latency,
        "How long clients waited for a database connection, those included that got one at once",
        unit="Microseconds",
        otel="db.client.connection.wait_time",
    ),
    _database(
        "DatabaseConnectionsCurrentlyBorrowed",
        GAUGE,
        number("database_connections_borrowed"),
        "Database connections that clients have, or that are cleaned after one",
        otel=_COUNT,
        otel_attributes={_STATE: "used"},
    ),
    _database(
        "DatabaseConnectionsCurrentlyInTransaction",
        GAUGE,
        number("database_connections_in_transaction"),
        "Database connections in a transaction",
    ),
    _database(
        "DatabaseConnectionsCurrentlySessionPinned",
        GAUGE,
        number("clients_pinned"),
        "Database connections whose client keeps them between transactions",
    ),
    _database(
        "DatabaseConnectionsSetupFailed",
        COUNTER,
        number("database_connections_failed"),
        "Attempts to open a database connection that failed",
    ),
    _database(
        "DatabaseConnectionsSetupSucceeded",
        COUNTER,
        number("database_connections_opened"),
        "Database connections that were opened",
    ),
    _database(
        "DatabaseConnectionsWithTLS",
        GAUGE,
        number("database_connections_tls"),
        "Open database connections with TLS",
    ),
    _database(
        "MaxDatabaseConnectionsAllowed",
        GAUGE,
        limit("max_database_connections_allowed"),
        "How many database connections may be open",
        otel="db.client.connection.max",
    ),
    _client(
        "QueryDatabaseResponseLatency",
        LATENCY,
        histogram("database"),
        "How long the database took for a query",
        unit="Microseconds",
        otel="db.client.operation.duration",
        otel_attributes={"db.system.name": "postgresql"},
        dimensions=(PROXY, ENDPOINT, TARGET, ROLE),
    ),
    _client(
        "QueryRequests",
        COUNTER,
        number("queries"),
        "Queries that were answered: a simple query, or a batch up to its Sync",
    ),
    _client(
        "QueryRequestsNoTLS",
        COUNTER,
        number("queries_no_tls"),
        "Queries of clients without TLS that were answered",
    ),
    _client(
        "QueryRequestsTLS",
        COUNTER,
        number("queries_tls"),
        "Queries of clients with TLS that were answered",
    ),
    _client(
        "QueryResponseLatency",
        LATENCY,
        histogram("query"),
        "How long a query took, from its first byte to its answer",
        unit="Microseconds",
    ),
)
