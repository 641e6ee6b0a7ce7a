"""What is put in place on a connection, or taken off it, as it passes from one client to the next.

The connections (compiled) call in here through their micro-pool.
"""

import logging
import re

from forebay.protocol.errors import PgError
from forebay.protocol.messages import parse_parameter_status
from forebay.relay import Client, Command, Server
from forebay.relay.ports import ParametersPort
from forebay.session.replays import Replay, Replays
from forebay.session.settings import InternTable, Parameters
from forebay.session.special import OF_IDLENESS
from forebay.worker.kept import as_parameters, settings_of

logger = logging.getLogger("forebay.pool")

# The parameter that cannot be changed any more on a connection where there were temporary tables,
# whatever is discarded. (Names are not translated.)
SPENT = b'"temp_buffers"'
# Class 22 of SQLSTATEs: it is the value that will not do.
DATA_EXCEPTION = "22"
_QUOTED = re.compile('"([^"]+)"')
# Parameters that a database may report; PostgreSQL has fewer than twenty.
PARAMETERS_LIMIT = 200


class Changeover:
    """Changes connections to one database server over between clients.

    `init_query` is what every new connection has run: whatever is taken off, it runs again.
    """

    def __init__(self, intern: InternTable, init_query: str) -> None:
        self._intern = intern
        self._init_query = init_query
        self._replays = Replays(init_query)

    def apply(self, init_query: str) -> None:
        """Use another init_query from now on. Connections that have run the old one must go."""
        self._init_query = init_query
        self._replays = Replays(init_query)

    @property
    def has_init_query(self) -> bool:
        """Whether new connections run something."""
        return bool(self._init_query)

    # ---- settings ----

    def replay(self, server: Server, client: Client) -> Replay:
        """What changes the connection over to the client."""
        forgets = server.stale, server.plans_mixed
        replay = self._replays.replay(settings_of(server), settings_of(client), *forgets)
        return replay._replace(must_confirm=True) if server.begins_hasty else replay

    def replay_failed(self, server: Server, body: bytes, confirming: bool) -> None:
        """The database has refused a change-over (`body` of an ErrorResponse), though it had
        accepted the settings before. `confirming`: the client has sent nothing yet that would run
        without them."""
        error = PgError.parse(body)
        message = error.message
        named = {name.lower() for name in _QUOTED.findall(message)}
        asked_for = {text.lower() for pair in settings_of(server).values for text in pair}
        # What another client left cannot be taken back (a module that was loaded since has removed
        # it); or the value is valid, and refused with a reason. (What a message says of bytes that
        # are no text names the encoding.)
        is_their_fault = not error.sqlstate.startswith(DATA_EXCEPTION) and bool(named)
        if (is_their_fault and named.isdisjoint(asked_for)) or (SPENT in body and b"\0D" in body):
            server.retired = True
        if not confirming and not error.is_interrupted:
            self._replays.doubt(settings_of(server))
        logger.warning(
            "Session settings could not be put in place: %s",
            message,
            extra={"fields": {"dbConnection": server.pid}},
        )

    def reset(self, server: Server) -> None:
        """Take every trace of a client's session off the connection."""
        server.run(b"DISCARD ALL", self._was_reset if not self._init_query else _checked)
        if self._init_query:
            server.run(self._init_query.encode(), self._was_reset)

    def _was_reset(self, server: Server, command: Command) -> None:
        if command.error is not None:
            server.shut("its session state could not be discarded")
        else:
            server.was_reset(self._intern.none)

    def rest(self, server: Server) -> None:
        """Take off what must not stay on a connection while nobody uses it (`Settings.at_rest`)."""
        if self._init_query:
            self.reset(server)  # or it would not be what that had made of it
        else:
            server.run(f"RESET {OF_IDLENESS}".encode(), _at_rest)

    # ---- parameters ----

    def parameter_changed(self, parameters: ParametersPort, body: bytes) -> Parameters:
        """The parameters after a ParameterStatus with this body. Raises ValueError if it cannot be
        read, or there are more than any database has."""
        name, value = parse_parameter_status(body)
        values = as_parameters(parameters).values
        if name not in values and len(values) >= PARAMETERS_LIMIT:
            raise ValueError("the database reports too many parameters")
        return self._intern.parameters({**values, name: value})

    def announce(self, client: Client, parameters: ParametersPort) -> None:
        """Tell the client what its connection reports otherwise than its last one did."""
        client.say(parameters.changes_from(client.parameters))
        client.parameters = parameters


def _checked(server: Server, command: Command) -> None:
    if command.error is not None:
        server.shut("its session state could not be discarded")


def _at_rest(server: Server, command: Command) -> None:
    if command.error is not None or server.settings.at_rest is None:
        server.shut("its client's settings could not be taken back")
    else:
        server.settings = server.settings.at_rest
