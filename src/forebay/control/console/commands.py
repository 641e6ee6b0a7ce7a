"""Who may give which command: the one table. Whoever is in neither list of users may give none."""

from typing import Final, Literal, NamedTuple

from forebay.config.settings import ProxySettings
from forebay.control.console.grammar import PARAMETERS, Command, CommandError, invalid

Role = Literal["stats", "admin"]
"""``stats_users`` may look, ``admin_users`` may do everything."""


class Entry(NamedTuple):
    """``tag``: what the client is told when it is done; ``takes_name``: of a database, or of a
    prepared statement."""

    role: Role
    tag: str
    takes_name: bool = False


_LOOKS: Final = Entry("stats", "SHOW")

COMMANDS: Final[dict[str, Entry]] = {
    "SHOW CLIENTS": _LOOKS,
    "SHOW CONFIG": _LOOKS,
    "SHOW DATABASES": _LOOKS,
    "SHOW HELP": _LOOKS,
    "SHOW HOLDERS": _LOOKS,
    "SHOW LISTS": _LOOKS,
    "SHOW PINS": _LOOKS,
    "SHOW POOLS": _LOOKS,
    "SHOW SERVERS": _LOOKS,
    "SHOW STATE": _LOOKS,
    "SHOW STATS": _LOOKS,
    "SHOW STATS_AVERAGES": _LOOKS,
    "SHOW STATS_TOTALS": _LOOKS,
    "SHOW TOTALS": _LOOKS,
    "SHOW USERS": _LOOKS,
    "SHOW VERSION": _LOOKS,
    "KILL": Entry("admin", "KILL", takes_name=True),
    "PAUSE": Entry("admin", "PAUSE", takes_name=True),
    "RECONNECT": Entry("admin", "RECONNECT", takes_name=True),
    "RELOAD": Entry("admin", "RELOAD"),
    "RESUME": Entry("admin", "RESUME", takes_name=True),
    # What drivers say around commands.
    **{f"SHOW {name}": _LOOKS for name in PARAMETERS},
    "BEGIN": Entry("stats", "BEGIN"),
    "COMMIT": Entry("stats", "COMMIT"),
    "DEALLOCATE": Entry("stats", "DEALLOCATE", takes_name=True),
    "DEALLOCATE ALL": Entry("stats", "DEALLOCATE ALL", takes_name=True),
    "DISCARD ALL": Entry("stats", "DISCARD ALL"),
    "RESET ALL": Entry("stats", "RESET"),
    "ROLLBACK": Entry("stats", "ROLLBACK"),
    "SET": Entry("stats", "SET"),
}

NOT_HERE: Final[dict[str, str]] = {
    "DISABLE": "use PAUSE or KILL",
    "ENABLE": "use RESUME",
    "KILL_CLIENT": "pg_terminate_backend() with remote_pid of SHOW SERVERS ends a connection",
    "SHUTDOWN": "it would end other proxies, too: use forebay stop",
    "SUSPEND": "use PAUSE",
    "WAIT_CLOSE": "SHOW SERVERS has close_needed",
}
"""PgBouncer's commands that there are not, and the way out."""

HELP: Final = (
    "\n\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION"
    "\n\tSHOW LISTS|STATE"
    "\n\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS"
    "\n\tSHOW HOLDERS|PINS"
    "\n\tRELOAD"
    "\n\tPAUSE [<db>]"
    "\n\tRESUME [<db>]"
    "\n\tRECONNECT [<db>]"
    "\n\tKILL [<db>]"
)


def role_of(settings: ProxySettings, user: str) -> Role | None:
    """What a user may do; None: nothing."""
    if user in settings.admin_users:
        return "admin"
    return "stats" if user in settings.stats_users else None


def entry_for(command: Command, role: Role | None, text: str) -> Entry:
    """The command's entry, if one of this role may give it. Raises CommandError; ``text`` is the
    command as it was given."""
    if role is None:
        raise CommandError("not allowed", "42501")
    entry = COMMANDS.get(command.name)
    if entry is None and command.name in NOT_HERE:
        text = f"Forebay has no {command.name}: {NOT_HERE[command.name]}"
        raise CommandError(text, "0A000")
    if entry is None or (command.argument and not entry.takes_name):
        raise invalid(text)
    if entry.role == "admin" and role != "admin":
        raise CommandError("admin access needed", "42501")
    return entry
