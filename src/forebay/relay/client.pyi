"""An established client."""

from ssl import MemoryBIO, SSLObject

from forebay.relay.application import Application
from forebay.relay.connection import Place
from forebay.relay.micropool import MicroPool
from forebay.relay.peer import Peer
from forebay.relay.poller import Poller
from forebay.relay.ports import NotesPort, ParametersPort, SessionsPort, SettingsPort
from forebay.relay.scan.names import FunctionNames
from forebay.relay.server import Server
from forebay.relay.statements.statement import Statement

class Client(Peer):
    pool: MicroPool
    server: Server | None
    place: Place | None
    sessions: SessionsPort
    process_id: int
    user: str | None
    protocol_minor: int
    settings: SettingsPort
    startup: SettingsPort
    parameters: ParametersPort
    notes: NotesPort | None
    meanwhile: tuple[object] | None
    follow_up: tuple[bytes, bytes] | None
    evacuation: object
    statements: dict[bytes, Statement] | None
    pinned: bool
    aborted: bool
    under_pg_temp: bool
    reads_all: bool
    keeps_requests: bool
    application: Application
    prefers_last: bool
    suspect: bool
    strict: bool
    greeted: bool
    connected_at: float
    last_active: float
    asked_at: float
    unsent_seen: int

    def __init__(
        self,
        poller: Poller,
        fd: int,
        pool: MicroPool,
        sessions: SessionsPort,
        process_id: int,
        *,
        settings: SettingsPort,
        parameters: ParametersPort | None = None,
        tls: SSLObject | None = None,
        incoming: MemoryBIO | None = None,
        outgoing: MemoryBIO | None = None,
    ) -> None: ...
    @property
    def is_waiting(self) -> bool: ...
    @property
    def is_busy(self) -> bool: ...
    @property
    def is_stalled(self) -> bool: ...
    @property
    def last_progress(self) -> float: ...
    def parameters_now(self) -> ParametersPort: ...
    def evacuated(self) -> None: ...
    def note_dropping(self) -> None: ...
    def move(self, pool: MicroPool) -> bool: ...
    def drop(self) -> None: ...
    def redefine(self, name: bytes, statement: Statement | None) -> None: ...
    def look_for(self, functions: FunctionNames | None) -> None: ...
    def set_pinned(self, pinned: bool) -> None: ...
    def start(self, early: bytes) -> None: ...
    def welcome(self, greeting: bytes) -> None: ...
    def say(self, message: bytes) -> None: ...
    def refuse(self, error: bytes) -> None: ...
    def answer(self, error: bytes) -> None: ...
    def fail(self, error: bytes, reason: str) -> None: ...
    def part(self, farewell: bytes) -> None: ...
