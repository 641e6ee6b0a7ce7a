"""What RDS Proxy does not tell of a proxy: a part of the catalogue."""

from typing import Final

from forebay.metrics.metric import Kind, Metric
from forebay.metrics.readers import histogram, limit, mean, number, part

GAUGE, COUNTER, LATENCY, MEAN = Kind.GAUGE, Kind.COUNTER, Kind.LATENCY, Kind.MEAN

# OpenTelemetry's semantic conventions for database clients.
_COUNT: Final = "db.client.connection.count"
_STATE: Final = "db.client.connection.state"

CLIENTS: Final = (
    Metric(
        "ClientsWaiting",
        GAUGE,
        number("clients_waiting"),
        "Clients that wait for a database connection",
        otel="db.client.connection.pending_requests",
    ),
    Metric(
        "ClientsWaitingLongest",
        GAUGE,
        number("clients_waiting_longest_s"),
        "For how long the client has waited that has waited longest",
        unit="Seconds",
    ),
    Metric(
        "ClientLoginsUnderWay", GAUGE, number("logins_under_way"), "Clients that are logging in"
    ),
    Metric(
        "ClientLogins",
        COUNTER,
        part("logins"),
        "Logins that succeeded, by the way in which the client proved who it is",
        label="Method",
    ),
    Metric(
        "ClientLoginFailures",
        COUNTER,
        part("login_failures"),
        "Logins that were refused, by SQLSTATE",
        label="SQLSTATE",
    ),
    Metric(
        "ClientConnectionsSetupFailed",
        COUNTER,
        number("client_connections_setup_failed"),
        "Connections of clients that ended before they were logged in, for whatever reason",
    ),
    Metric("ClientWrongPasswords", COUNTER, number("wrong_passwords"), "Wrong passwords"),
    Metric(
        "ClientTLSLogins",
        COUNTER,
        part("tls_versions"),
        "Logins over TLS, by its version",
        label="TLSVersion",
    ),
    Metric(
        "ClientTLSResumptions",
        COUNTER,
        number("tls_resumptions"),
        "Logins over TLS that resumed an earlier session",
    ),
    Metric(
        "ClientReceivedBytes",
        COUNTER,
        number("received_bytes"),
        "Bytes that came from clients",
        unit="Bytes",
    ),
    Metric(
        "ClientSentBytes", COUNTER, number("sent_bytes"), "Bytes that went to clients", unit="Bytes"
    ),
    Metric(
        "ClientsRefused",
        COUNTER,
        part("refusals"),
        "Clients that waited for a database connection and were refused, by SQLSTATE",
        label="SQLSTATE",
    ),
    Metric(
        "QueriesRefused",
        COUNTER,
        number("queries_refused"),
        "Queries, and logins that need a connection, that were refused as there was none for them",
    ),
)

DATABASE: Final = (
    Metric(
        "DatabaseConnectionsIdle",
        GAUGE,
        number("database_connections_idle"),
        "Open database connections that nobody has",
        otel=_COUNT,
        otel_attributes={_STATE: "idle"},
    ),
    Metric(
        "DatabaseConnectionsOpening",
        GAUGE,
        number("database_connections_opening"),
        "Database connections that are being opened",
    ),
    Metric(
        "DatabaseConnectionsPeak",
        GAUGE,
        number("database_connections_peak"),
        "The most database connections that were open at once since the worker started",
    ),
    Metric(
        "DatabaseConnectionBorrows",
        COUNTER,
        number("borrows"),
        "Borrows: a client got a database connection",
    ),
    Metric(
        "DatabaseConnectionsBorrowWait",
        LATENCY,
        histogram("borrow_wait"),
        "How long clients waited for a database connection that did not get one at once",
        unit="Microseconds",
    ),
    Metric(
        "ServerMaxConnections",
        GAUGE,
        limit("server_max_connections"),
        "The database server's max_connections",
    ),
    Metric(
        "ServerReservedConnections",
        GAUGE,
        number("server_reserved_connections"),
        "Connections that the database server keeps for superusers and for roles of its own",
    ),
    Metric(
        "TargetAvailable",
        GAUGE,
        number("target_available"),
        "1 while the target can be reached, else 0",
    ),
    Metric("Transactions", COUNTER, number("transactions"), "Transactions that ended"),
    Metric(
        "TransactionLatency",
        MEAN,
        mean("transaction_us", "transactions"),
        "How long transactions took, from their first message at the database to their end",
        unit="Microseconds",
    ),
)

SESSIONS: Final = (
    Metric("SessionPins", COUNTER, part("pins"), "Pins that began, by reason", label="Reason"),
    Metric(
        "SessionPinTime",
        COUNTER,
        part("pin_s"),
        "How long the pins lasted that have ended, by reason",
        unit="Seconds",
        label="Reason",
    ),
    Metric(
        "SessionPinsCurrently",
        GAUGE,
        part("clients_pinned"),
        "Pins that there are, by reason; a client may have several",
        label="Reason",
    ),
    Metric(
        "RequestsReplayed",
        COUNTER,
        part("requests_replayed"),
        "Requests that went to another database connection as theirs was lost, by reason",
        label="Reason",
    ),
    Metric(
        "RequestsLost",
        COUNTER,
        part("requests_lost"),
        "Clients that were told that their database connection was lost, by what they were told",
        label="Outcome",
    ),
    Metric(
        "SettingsReplays",
        COUNTER,
        number("replays"),
        "Database connections that changed over to another client's settings",
    ),
    Metric(
        "SettingsReplaysFailed",
        COUNTER,
        number("replays_failed"),
        "Change-overs that the database refused",
    ),
    Metric(
        "PreparedStatementClientParses",
        COUNTER,
        number("client_parses"),
        "Statements with a name that clients have prepared",
    ),
    Metric(
        "PreparedStatementServerParses",
        COUNTER,
        number("server_parses"),
        "Statements with a name that were prepared on database connections",
    ),
    Metric(
        "PreparedStatementBinds",
        COUNTER,
        number("binds"),
        "Statements with a name that clients have bound",
    ),
    Metric(
        "PreparedStatementBytes",
        GAUGE,
        number("prepared_statement_bytes"),
        "What the texts of prepared statements take",
        unit="Bytes",
    ),
)

CREDENTIALS: Final = (
    Metric("Secrets", GAUGE, number("secrets"), "Secrets that are read"),
    Metric(
        "SecretsFailing",
        GAUGE,
        number("secrets_failing"),
        "Secrets that can't be read at the moment; what was read before serves",
    ),
    Metric(
        "SecretAge",
        GAUGE,
        number("secret_age_s_max"),
        "How long ago the secret was read that was not read for longest",
        unit="Seconds",
    ),
    Metric(
        "CertificateExpiresIn",
        GAUGE,
        number("certificate_expires_s"),
        "When the first certificate expires, from now; below 0: it has",
        unit="Seconds",
    ),
)
