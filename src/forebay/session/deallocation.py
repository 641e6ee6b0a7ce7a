"""Which prepared statements an effect of a text ends. Pure."""

from forebay.sql.effects import Command, Effect


def drops_all(effect: Effect) -> bool:
    """Whether it ends all prepared statements."""
    detail = effect.detail
    if not isinstance(detail, Command):
        return False
    return detail.command == "DEALLOCATE ALL" or (detail.command, detail.name) == ("DISCARD", "all")


def drops_ours(effect: Effect, prefix: bytes) -> bool:
    """Returns whether the effect ends a prepared statement that Forebay has made on the connection,
    for whatever client: the names of these begin with `prefix`."""
    detail = effect.detail
    if not isinstance(detail, Command) or detail.command != "DEALLOCATE":
        return False
    return detail.name.encode(errors="replace").startswith(prefix)
