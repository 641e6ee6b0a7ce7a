"""Which prepared statements a text ends. Pure."""

from forebay.sql.effects import Command, Effect, Effects
from forebay.sql.lexer import lex
from forebay.sql.split import segments


def drops_all(effect: Effect) -> bool:
    """Whether it ends all prepared statements."""
    detail = effect.detail
    if not isinstance(detail, Command):
        return False
    return detail.command == "DEALLOCATE ALL" or (detail.command, detail.name) == ("DISCARD", "all")


def drops_ours(effect: Effect, prefix: bytes) -> bool:
    """Whether it ends one that Forebay has prepared on the connection, for whatever client: those
    have names that begin with `prefix`."""
    detail = effect.detail
    if not isinstance(detail, Command) or detail.command != "DEALLOCATE":
        return False
    return detail.name.encode(errors="replace").startswith(prefix)


def deallocated(effects: Effects, text: bytes) -> bytes | None:
    """The name, if the text is one DEALLOCATE of one statement."""
    if len(effects) == 1 and isinstance(effects[0].detail, Command):
        detail = effects[0].detail
        if detail.command == "DEALLOCATE" and detail.name and len(segments(lex(text).tokens)) == 1:
            return detail.name.encode(errors="surrogateescape")
    return None
