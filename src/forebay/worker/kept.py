"""What the relay keeps for the worker, in the worker's own types.

The relay knows settings, parameters, notes and meanings by its ports only (relay/ports.py), and
makes none of its own: what it hands back is what the worker has given it. Only here is that relied
on.
"""

from typing import TYPE_CHECKING, cast

from forebay.relay import Client, MicroPool, Server, Statement
from forebay.relay.ports import ParametersPort, ReadingPort
from forebay.session.meaning import Meaning
from forebay.session.pins import Notes
from forebay.session.settings import Parameters, Settings
from forebay.sql.reading import Reading

if TYPE_CHECKING:
    from forebay.worker.pool.changeover import Changeover


def settings_of(holder: Client | Server) -> Settings:
    """What a client asks for, or a connection has."""
    return cast(Settings, holder.settings)


def startup_of(client: Client) -> Settings:
    """What the client has asked for at its login."""
    return cast(Settings, client.startup)


def application_of(client: Client) -> str:
    """The client's application_name."""
    values = settings_of(client).values
    return next((text for name, text in values if name == "application_name"), "")


def parameters_of(holder: Client | Server) -> Parameters:
    """What a client was told, or a connection reports."""
    return as_parameters(holder.parameters)


def as_parameters(parameters: ParametersPort) -> Parameters:
    return cast(Parameters, parameters)


def as_reading(reading: ReadingPort | None) -> Reading | None:
    return cast(Reading | None, reading)


def reading_of(client: Client) -> Reading:
    """How the database reads what the client sends now."""
    return as_parameters(client.parameters_now()).reading


def notes_of(client: Client) -> Notes:
    """What is known of the client's session; begins with nothing."""
    if client.notes is None:
        client.notes = Notes()
    return cast(Notes, client.notes)


def known_notes(client: Client) -> Notes | None:
    """The same, or None if there is none yet."""
    return cast(Notes | None, client.notes)


def meaning_of(statement: Statement) -> Meaning:
    """What the meaning of a prepared statement depends on."""
    return cast(Meaning, statement.meaning)


def changeover_of(pool: MicroPool) -> "Changeover":
    """What changes the connections of the micro-pool over between clients."""
    return cast("Changeover", pool.changeover)
