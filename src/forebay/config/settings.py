"""The settings, typed, under RDS Proxy's names where RDS Proxy has one.

Ranges are RDS Proxy's too (CreateDBProxy, ConnectionPoolConfig in its API reference). Times are in
seconds and may have fractions. ``Meta`` carries the range and the sentence that errors print; every
key is described for users in docs/configuration.md.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from forebay.config.addresses import Address, parse_address

DEFAULT_LISTEN = "127.0.0.1:6432"
DEFAULT_CONTROL_LISTEN = "127.0.0.1:6480"
DEFAULT_PROXY = "default"

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
Pinning = Literal["minimal", "rds"]
IamAuth = Literal["DISABLED", "REQUIRED", "ENABLED"]
IamVerifier = Literal["keys", "database", "sts"]
AuthScheme = Literal["SECRETS", "IAM_AUTH"]
DefaultAuthScheme = Literal["NONE", "IAM_AUTH"]
ClientAuth = Literal["password", "cert", "trust"]
ClientCert = Literal["no", "verify-ca", "verify-full"]
ClientPasswordAuthType = Literal["POSTGRES_SCRAM_SHA_256", "POSTGRES_MD5"]
Topology = Literal["static", "dns", "patroni", "aurora", "multi_az"]
TargetRole = Literal["READ_WRITE", "READ_ONLY"]
InTransactionError = Literal["close", "retryable"]
CloudWatchMetrics = Literal["all", "rds"]
PinningFilter = Literal["EXCLUDE_VARIABLE_SETS"]
# What calling a function does to the session: reasons for pins, and NONE.
FunctionCode = Literal[
    "TEMPORARY_OBJECT",
    "CURSOR",
    "ADVISORY_LOCK",
    "LISTEN",
    "PREPARED_STATEMENT",
    "SETTING",
    "SEQUENCE",
    "LOAD",
    "SESSION_FUNCTION",
    "NONE",
]

# Above what PostgreSQL's own max_connections can be.
MOST_CONNECTIONS = 262_143

# "Half of max_connections_percent", RDS Proxy's default; resolved when the struct is made.
HALF_OF_MAXIMUM = -1

DAY_S = 86_400.0


class Hidden:
    """Text that must not be printed: its repr and str show nothing of it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call it only where it is used."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Hidden(***)"

    def __reduce__(self) -> Any:
        raise TypeError("hidden text is not to be pickled")


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user that may log in, and how (RDS Proxy's UserAuthConfig); all users of a userlist.

    ``secret`` or ``username`` is there. ``auth_scheme``: how Forebay logs in to the database for
    this user, unset: as the proxy's ``default_auth_scheme`` says. ``pool_identity``: a name under
    which several users share connections. ``clientcert`` is pg_hba.conf's.
    """

    secret: str = ""
    username: Annotated[str, Meta(max_length=128)] = ""
    iam_auth: IamAuth = "DISABLED"
    client_password_auth_type: ClientPasswordAuthType = "POSTGRES_SCRAM_SHA_256"  # noqa: S105
    client_auth: ClientAuth = "password"
    clientcert: ClientCert = "no"
    clientcert_names: list[str] = []
    auth_scheme: AuthScheme | None = None
    pool_identity: Annotated[str, Meta(max_length=128)] = ""
    rotation_overlap: Annotated[float, Meta(ge=0, le=7 * DAY_S)] | None = None

    @property
    def rotation_overlap_s(self) -> float:
        """For how long clients may still show a password that was replaced. Secrets Manager keeps
        it as AWSPREVIOUS, and clients cache what they read for an hour; files mostly change where
        they are read within a minute or two."""
        if self.rotation_overlap is not None:
            return self.rotation_overlap
        return 3600.0 if self.secret.startswith(("arn:", "secretsmanager:")) else 300.0


class IamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How IAM tokens are verified, and who may be whom.

    ``keys``: by computing their signature with ``access_keys``, which the operator holds; ``hosts``
    are what clients connect to, and so what tokens are for. ``database``: by the database, with
    which clients' tokens log in; ``hosts`` are its names. ``sts``: by an STS endpoint
    (``sts_endpoint``, else AWS's of ``region``), to which clients' requests, signed for
    ``proxy_id``, are passed on. ``policies``: IAM's JSON, or ``file:PATH``.
    """

    verifier: IamVerifier
    region: Annotated[str, Meta(max_length=64)] = ""
    hosts: list[str] = []
    access_keys: list[str] = []
    account: str = ""
    proxy_id: Annotated[str, Meta(max_length=128)] = ""
    sts_endpoint: str = ""
    policies: list[str] = []

    def host_names(self) -> list[str]:
        """``hosts``, each as the host:port that is signed. Raises ValueError on one that was not
        checked by loading."""
        return [str(parse_address(host, wildcard=False)).lower() for host in self.hosts]


class TargetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The database servers behind a proxy; what begins with ``ssl`` means what libpq means.
    ``region``: of an RDS server that takes IAM tokens, where its name does not tell.

    ``topology``: how the servers are found of which one writes; ``hosts`` are where to begin.
    ``patroni``: URLs of Patroni's REST API. ``control_user``: whose login asks the servers what
    they are; empty: the first user's that will do. ``max_replica_lag``: servers that are further
    behind (seconds) get no clients of a READ_ONLY proxy; None: any may.
    """

    hosts: list[str]
    topology: Topology = "static"
    patroni: list[str] = []
    control_user: Annotated[str, Meta(max_length=128)] = ""
    max_replica_lag: Annotated[float, Meta(gt=0, le=DAY_S)] | None = None
    sslmode: SslMode = "prefer"
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    region: Annotated[str, Meta(max_length=64)] = ""
    database: Annotated[str, Meta(min_length=1, max_length=63)] = "postgres"
    connect_timeout: Annotated[float, Meta(gt=0, le=300)] = 15.0

    @property
    def is_watched(self) -> bool:
        """Whether the servers are asked all the time who writes: there may be more than one."""
        return self.topology != "static" or len(self.hosts) > 1

    def addresses(self) -> list[Address]:
        """``hosts``, read. Raises ValueError on a host that was not checked by loading."""
        return [parse_address(host, wildcard=False) for host in self.hosts]


Connections = Annotated[int, Meta(ge=1, le=MOST_CONNECTIONS)]
Timeout = Annotated[float, Meta(ge=0, le=DAY_S)]


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one user, or of one database. None: no limit of its own.

    What PgBouncer calls max_user_connections and max_db_connections is ``max_connections`` here,
    max_user_client_connections and max_db_client_connections ``max_client_connections``. The
    timeouts, in seconds, hold instead of the pool's; 0: none. ``query_wait_timeout`` holds instead
    of ``connection_borrow_timeout``, and cannot be 0, which PgBouncer takes for "wait for ever" and
    RDS Proxy for "at once".
    """

    max_connections: Connections | None = None
    max_client_connections: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    query_timeout: Timeout | None = None
    idle_transaction_timeout: Timeout | None = None
    query_wait_timeout: Annotated[float, Meta(gt=0, le=DAY_S)] | None = None


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many database connections, and how they are kept (RDS Proxy's ConnectionPoolConfig).

    ``max_connections`` is a number besides the percentage: the lower of the two holds. The timeouts
    of requests and of idle transactions are PgBouncer's; 0: none.
    """

    max_connections: Connections | None = None
    max_connections_percent: Annotated[int, Meta(ge=1, le=100)] = 100
    max_idle_connections_percent: Annotated[int, Meta(ge=0, le=100)] = HALF_OF_MAXIMUM
    connection_borrow_timeout: Annotated[float, Meta(ge=0, le=300)] = 120.0
    query_timeout: Timeout = 0.0
    idle_transaction_timeout: Timeout = 0.0
    max_waiting_clients: Annotated[int, Meta(ge=0, le=1_000_000)] = 10_000
    init_query: Annotated[str, Meta(max_length=16_384)] = ""
    session_pinning_filters: list[PinningFilter] = []
    max_idle_time: Annotated[float, Meta(gt=0, le=DAY_S)] = 300.0
    max_connection_age: Annotated[float, Meta(gt=0, le=30 * DAY_S)] = DAY_S

    def __post_init__(self) -> None:
        if self.max_idle_connections_percent == HALF_OF_MAXIMUM:
            half = self.max_connections_percent // 2
            msgspec.structs.force_setattr(self, "max_idle_connections_percent", half)


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One endpoint, the users it knows, and its pool (RDS Proxy's DBProxy and its target group).

    ``target_role``: whether clients get the server that writes, or those that follow it.
    ``in_transaction_error``: what a client gets whose transaction was lost with its server: its
    connection is closed (08006), or it may try again (40001). ``replay``: whether requests that
    provably have not run are sent again behind a failover.
    """

    listen: str | list[str] = DEFAULT_LISTEN
    target_role: TargetRole = "READ_WRITE"
    in_transaction_error: InTransactionError = "close"
    replay: bool = True
    require_tls: bool = True
    tls_certificate: str | list[str] | None = None
    tls_private_key: str | list[str] | None = None
    tls_client_ca: str | None = None
    idle_client_timeout: Annotated[float, Meta(ge=1, le=28_800)] = 1800.0
    max_client_age: Annotated[float, Meta(ge=1, le=30 * DAY_S)] = DAY_S
    max_client_connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    login_timeout: Annotated[float, Meta(gt=0, le=300)] = 15.0
    pinning: Pinning = "minimal"
    session_functions: dict[str, FunctionCode] = {}
    session_settings: list[str] = []
    debug_logging: bool = False
    admin_users: list[str] = []
    stats_users: list[str] = []
    default_auth_scheme: DefaultAuthScheme = "NONE"
    auth: list[AuthSettings] = []
    auth_query: Annotated[str, Meta(max_length=16_384)] = ""
    auth_user: Annotated[str, Meta(max_length=128)] = ""
    auth_dbname: Annotated[str, Meta(max_length=63)] = ""
    iam: IamSettings | None = None
    target: TargetSettings
    pool: PoolSettings = PoolSettings()
    users: dict[str, LimitSettings] = {}
    databases: dict[str, LimitSettings] = {}

    def certificate_files(self) -> list[tuple[str, str]]:
        """Each certificate with its key; those that have no partner were refused by loading."""
        return list(zip(_listed(self.tls_certificate), _listed(self.tls_private_key), strict=False))

    def auth_scheme_of(self, auth: AuthSettings) -> AuthScheme:
        """How Forebay logs in to the database for a user."""
        if auth.auth_scheme is not None:
            return auth.auth_scheme
        return "IAM_AUTH" if self.default_auth_scheme == "IAM_AUTH" else "SECRETS"

    def listen_addresses(self) -> list[Address]:
        """``listen``, read. Raises ValueError on an address that was not checked by loading."""
        listen = [self.listen] if isinstance(self.listen, str) else self.listen
        return [parse_address(text, wildcard=True) for text in listen]


def _listed(given: str | list[str] | None) -> list[str]:
    return [] if given is None else [given] if isinstance(given, str) else given


class CloudWatchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How CloudWatch gets metrics: as lines in its embedded metric format, by PutMetricData, or
    both. ``metrics``: all, or those of RDS Proxy alone. ``emf``: stdout, file:PATH, tcp://HOST:PORT
    or udp://HOST:PORT. ``region``, ``endpoint_url``: of PutMetricData; empty: AWS's own."""

    namespace: Annotated[str, Meta(min_length=1, max_length=255)] = "Forebay"
    metrics: CloudWatchMetrics = "all"
    emf: str = ""
    put_metric_data: bool = False
    region: Annotated[str, Meta(max_length=64)] = ""
    endpoint_url: str = ""


class OtelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an OpenTelemetry collector takes metrics, by OTLP over HTTP."""

    endpoint: Annotated[str, Meta(min_length=1)]


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What belongs to the process, not to one proxy."""

    control_listen: str = DEFAULT_CONTROL_LISTEN  # "": nothing listens
    control_token: str = ""  # where the text is that opens it, as a secret's source; "": none
    control_socket: str | None = None  # None: in the first directory that will do; "": none at all
    drain_timeout: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    log_stats: bool = True
    stats_period: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    cloudwatch: CloudWatchSettings | None = None
    otel: OtelSettings | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole configuration. ``given_secrets`` serves ``secret = "given:NAME"``: it is filled by
    a URL or by a program, never from a file, and holds the same JSON that a secret file holds."""

    node: NodeSettings = NodeSettings()
    proxies: dict[str, ProxySettings] = {}
    given_secrets: dict[str, Hidden] = {}
    source: str = ""
