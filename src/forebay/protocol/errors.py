"""Errors in PostgreSQL's protocol: one exception, its encoding, and RDS Proxy's texts.

The texts are the ones that a client of Amazon RDS Proxy gets (RDS user guide, "Troubleshooting RDS
Proxy"), so that alarms, log filters and retry code written for it fit. The SQLSTATEs are the ones
PostgreSQL gives in the same situation (PostgreSQL documentation, appendix A).
"""

import struct
from enum import StrEnum
from typing import Final

UNKNOWN_SQLSTATE: Final = "XX000"
"""Stands in where a server's error carries no SQLSTATE: internal_error."""


class Severity(StrEnum):
    """The severities of an ErrorResponse that a frontend acts on."""

    ERROR = "ERROR"
    FATAL = "FATAL"
    PANIC = "PANIC"


class PgError(Exception):
    """An error as PostgreSQL's protocol carries it, made here or received from a database.

    `raw` is the body of the ErrorResponse as the database sent it: it is passed on unchanged, with
    whatever fields this class does not know. It is None for an error made by Forebay.
    """

    def __init__(
        self,
        severity: Severity,
        sqlstate: str,
        message: str,
        detail: str | None = None,
        hint: str | None = None,
        raw: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.severity = severity
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.raw = raw

    def __repr__(self) -> str:
        return f"PgError({self.severity.value}, {self.sqlstate}, {self.message!r})"

    def __reduce__(self) -> tuple[type["PgError"], tuple[object, ...]]:
        return PgError, (
            self.severity,
            self.sqlstate,
            self.message,
            self.detail,
            self.hint,
            self.raw,
        )

    @property
    def is_interrupted(self) -> bool:
        """Whether a cancel, a timeout or an administrator has ended what was asked, which says
        nothing about what would have come of it (class 57, operator intervention)."""
        return self.sqlstate.startswith("57")

    def encode(self) -> bytes:
        """The whole ErrorResponse message, type byte and length included."""
        body = self.raw if self.raw is not None else self._encode_fields()
        return b"E" + struct.pack("!I", len(body) + 4) + body

    def with_severity(self, severity: Severity) -> "PgError":
        """The same error, ending the session or not. Itself when that is what it says already."""
        if self.severity is severity:
            return self
        return PgError(severity, self.sqlstate, self.message, self.detail, self.hint)

    def _encode_fields(self) -> bytes:
        fields = [
            ("S", self.severity.value),
            ("V", self.severity.value),
            ("C", self.sqlstate),
            ("M", self.message),
        ]
        if self.detail is not None:
            fields.append(("D", self.detail))
        if self.hint is not None:
            fields.append(("H", self.hint))
        return b"".join(_field(code, value) for code, value in fields) + b"\0"

    @classmethod
    def parse(cls, body: bytes) -> "PgError":
        """Reads the body of an ErrorResponse (or NoticeResponse); never raises.

        The database is not trusted: missing fields are filled in (SQLSTATE XX000, severity ERROR),
        and the last field may be cut off.
        """
        fields = parse_fields(body)
        severity = fields.get("V") or fields.get("S") or ""
        known = severity in Severity.__members__
        return cls(
            Severity(severity) if known else Severity.ERROR,
            fields.get("C") or UNKNOWN_SQLSTATE,
            fields.get("M") or "The database gave no error message.",
            fields.get("D"),
            fields.get("H"),
            # A client may stumble over an error that is cut off or has no SQLSTATE: those are
            # encoded anew.
            raw=body if body.endswith(b"\0\0") and fields.get("C") else None,
        )


def parse_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse by their one-letter code; never raises."""
    fields: dict[str, str] = {}
    for field in body.split(b"\0"):
        if not field:
            break
        fields.setdefault(chr(field[0]), field[1:].decode("utf-8", "replace"))
    return fields


def _field(code: str, value: str) -> bytes:
    # A NUL would end the field early, and what follows it would be read as fields of its own.
    text = value.replace("\0", "")
    try:
        encoded = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = text.encode("utf-8", "replace")
    return code.encode("ascii") + encoded + b"\0"


def _error(
    sqlstate: str, message: str, detail: str | None = None, hint: str | None = None
) -> PgError:
    return PgError(Severity.ERROR, sqlstate, message, detail, hint)


def _fatal(sqlstate: str, message: str, detail: str | None = None) -> PgError:
    return PgError(Severity.FATAL, sqlstate, message, detail)


# ---- Logging in ----------------------------------------------------------------------------------


def tls_required() -> PgError:
    """A plain connection where the proxy demands TLS."""
    return _fatal("28000", "This RDS Proxy requires TLS connections.")


def missing_user() -> PgError:
    """A startup packet without a user name."""
    return _fatal(
        "28000",
        "A user name is missing from the connection startup packet. "
        "Provide a user name for this connection.",
    )


def no_credentials(role: str) -> PgError:
    """No secret names this user."""
    return _fatal(
        "28000",
        f"This RDS proxy has no credentials for the role {role}. "
        "Check the credentials for this role and try again.",
    )


def wrong_password(role: str) -> PgError:
    """The password differs from the one in the secret."""
    return _fatal("28P01", f"The password that was provided for the role {role} is wrong.")


def iam_failed(role: str) -> PgError:
    """No IAM token, or one that is not valid. The SQLSTATE is the one that RDS Proxy gives."""
    return _fatal(
        "28P01",
        f"The IAM authentication failed for the role {role}. "
        "Check the IAM token for this role and try again.",
    )


def iam_requires_tls() -> PgError:
    """A user who logs in with IAM tokens alone, without TLS."""
    return _fatal("28000", "IAM authentication is allowed only with SSL connections.")


def iam_too_many() -> PgError:
    """IAM tokens come faster than they may be verified. The SQLSTATE is `iam_failed`'s."""
    return _fatal("28P01", "The IAM authentication failed because of too many competing requests.")


def certificate_required() -> PgError:
    """A user whose clients have to show a certificate, and this one did not; PostgreSQL's text."""
    return _fatal("28000", "connection requires a valid client certificate")


def certificate_failed(role: str) -> PgError:
    """The client's certificate is issued to somebody else; PostgreSQL's text."""
    return _fatal("28000", f'certificate authentication failed for user "{role}"')


def unsupported_authentication() -> PgError:
    """The client chose a mechanism that was not offered, or sent an empty password."""
    return _fatal("28000", "RDS supports only IAM, MD5, or SCRAM authentication.")


def unsupported_version(major: int, minor: int) -> PgError:
    """A protocol other than 3.x."""
    return _fatal(
        "0A000",
        "Feature not supported: RDS Proxy supports only version 3.0 of the PostgreSQL messaging "
        "protocol.",
        f"The client asked for version {major}.{minor}; versions 3.0 to 3.2 are supported.",
    )


def unsupported_replication() -> PgError:
    """The startup parameter `replication` asks for a walsender."""
    return _fatal(
        "0A000",
        "Feature not supported: RDS Proxy currently doesn't support streaming replication mode.",
    )


def unsupported_option(option: str) -> PgError:
    """A switch in the startup parameter `options` that is neither -c nor --name=value."""
    return _fatal(
        "0A000", f"Feature not supported: RDS Proxy currently doesn't support the option {option}."
    )


def unsupported_command_line_options() -> PgError:
    """The startup parameter `options`, where RDS Proxy's limits hold."""
    return _fatal(
        "0A000",
        "Feature not supported: RDS Proxy currently doesn't support command-line options.",
    )


def option_without_value(option: str) -> PgError:
    """`-c name` without `=value`; PostgreSQL's text."""
    return _fatal("42601", f"{option} requires a value")


def unrecognized_setting(name: str) -> PgError:
    """A setting that cannot exist; PostgreSQL's text."""
    return _fatal("42704", f'unrecognized configuration parameter "{name}"')


def login_timed_out() -> PgError:
    """The client did not finish logging in; PostgreSQL's text for authentication_timeout."""
    return _fatal("57014", "canceling authentication due to timeout")


def too_many_clients(limit: int) -> PgError:
    """The proxy holds as many clients as it may."""
    return _fatal(
        "53300", f"The maximum number of client connections to the proxy exceeded {limit}."
    )


def too_many_connections_for_role(role: str) -> PgError:
    """The user has as many clients as it may have; PostgreSQL's text for CONNECTION LIMIT."""
    return _fatal("53300", f'too many connections for role "{role}"')


def too_many_connections_for_database(database: str) -> PgError:
    """The database has as many clients as it may have; PostgreSQL's text."""
    return _fatal("53300", f'too many connections for database "{database}"')


def too_many_logins(rate: int) -> PgError:
    """Clients connect faster than the proxy lets them (per second)."""
    return _fatal("53300", f"Rate of connection to proxy exceeded {rate}.")


def not_allowed(database: str) -> PgError:
    """The admin database is not for this user."""
    return PgError(
        Severity.FATAL,
        "42501",
        f'permission denied for database "{database}"',
        hint="It is for users that admin_users or stats_users name.",
    )


def too_many_consoles(limit: int) -> PgError:
    """As many clients use the admin database as may."""
    return _fatal("53300", f"At most {limit} clients may use the admin database at once.")


# ---- Database connections ------------------------------------------------------------------------


def borrow_timed_out(detail: str | None = None, hint: str | None = None) -> PgError:
    """No database connection became free within connection_borrow_timeout."""
    return _error("08000", "Timed-out waiting to acquire database connection.", detail, hint)


def queue_full(limit: int) -> PgError:
    """As many clients wait for a database connection as may."""
    return _error(
        "53300",
        "Too many clients are waiting for a database connection.",
        f"At most {limit} may wait at once.",
    )


def requests_full() -> PgError:
    """The requests that wait for a database connection are too long, all together."""
    return _error(
        "53300",
        "Too many clients are waiting for a database connection.",
        "Their requests take as much memory as they may.",
    )


def no_readers() -> PgError:
    """A READ_ONLY proxy has no server to read from, and none is known that could become one."""
    detail = "There is no server but the one that writes, which does not stand in for a reader."
    hint = "Add a standby, or use an endpoint whose target_role is READ_WRITE."
    return _error("08000", "The target has no reader.", detail, hint)


def server_lost(detail: str | None = None) -> PgError:
    """The database connection broke while it served this client."""
    return _fatal("08006", "The connection to the database was lost.", detail)


def server_lost_with(what: str, detail: str | None = None) -> PgError:
    """As ``server_lost``; the session has lost what cannot be had elsewhere. `what`: in words."""
    return PgError(
        Severity.FATAL,
        "08006",
        "The connection to the database was lost, and with it what the session had there.",
        what if detail is None else f"{what} {detail}",
        "Connect again, and set up what the session needs.",
    )


def transaction_lost(detail: str | None = None) -> PgError:
    """The database connection broke in a transaction of the client's, which was rolled back."""
    return _error(
        "40001",
        "The transaction was rolled back: the connection to the database was lost.",
        detail,
        "Run the whole transaction again.",
    )


def resolution_unknown(severity: Severity, detail: str | None = None) -> PgError:
    """The database connection broke with a request on it that may have been done, or not. The text
    is the SQLSTATE's name in PostgreSQL's appendix A."""
    return PgError(
        severity,
        "08007",
        "transaction resolution unknown",
        detail,
        "The connection to the database was lost before it answered: what was asked may be done, "
        "wholly or not at all. Look whether it is before it is asked again.",
    )


def server_unreachable(detail: str | None = None) -> PgError:
    """No connection to the database could be opened."""
    return _fatal("08001", "The database could not be reached.", detail)


def server_protocol_violation(detail: str | None = None) -> PgError:
    """The database sent what the protocol does not allow."""
    return _fatal("08P01", "The database sent an answer that is not PostgreSQL's protocol.", detail)


# ---- Established clients -------------------------------------------------------------------------


def protocol_violation(message: str, detail: str | None = None) -> PgError:
    """The client sent what the protocol does not allow."""
    return _fatal("08P01", message, detail)


def early_bytes() -> PgError:
    """Bytes came before TLS that the client sent without awaiting the answer; PostgreSQL's text."""
    return protocol_violation(
        "received unencrypted data after SSL request",
        "This could be either a client-software bug or evidence of an attempted "
        "man-in-the-middle attack.",
    )


def admin_shutdown() -> PgError:
    """The proxy is being drained."""
    return _fatal("57P01", "terminating connection due to administrator command")


def cannot_connect_now() -> PgError:
    """The proxy takes no new clients because it is being drained."""
    return _fatal("57P03", "the database system is shutting down")


def idle_timeout() -> PgError:
    """The client was idle for longer than idle_client_timeout."""
    return _fatal("57P05", "terminating connection due to idle-session timeout")


def query_timeout() -> PgError:
    """A request has taken longer than query_timeout, and cancelling has not ended it; PgBouncer's
    text, with the SQLSTATE of PostgreSQL's statement_timeout."""
    return _fatal("57014", "query timeout")


def idle_transaction_timeout() -> PgError:
    """The client was idle in a transaction for idle_transaction_timeout; PgBouncer's text, with the
    SQLSTATE of PostgreSQL's idle_in_transaction_session_timeout."""
    return _fatal("25P03", "idle transaction timeout")


def client_too_old() -> PgError:
    """The client has been connected for longer than any client may."""
    return _fatal(
        "57P05", "terminating connection because it has reached the maximum client connection age"
    )


def statements_full(limit: int) -> PgError:
    """All clients together have prepared as much as they may (bytes)."""
    return _error(
        "54000",
        f"too many prepared statements of all clients: at most {limit} bytes",
        "Statements that some client has prepared already can still be prepared.",
        "Let clients prepare the same texts, with parameters in place of literals, and close what "
        "they do not need; most drivers have a limit for it.",
    )


def query_canceled() -> PgError:
    """The client cancelled its query."""
    return _error("57014", "canceling statement due to user request")
