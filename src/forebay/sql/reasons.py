"""Why a statement matters to the session that runs it."""

from enum import StrEnum


class Reason(StrEnum):
    """A closed list: what pins and what is asked for follows from it."""

    SETTING = "setting"  # SET, RESET, set_config
    PREPARE = "prepare"  # PREPARE, EXECUTE, DEALLOCATE as statements
    TEMPORARY_OBJECT = "temporary_object"
    CREATION = "creation"  # of what is temporary under some search_path, though the text says not
    CURSOR = "cursor"  # DECLARE
    LISTEN = "listen"  # LISTEN, UNLISTEN
    ADVISORY_LOCK = "advisory_lock"  # session-level ones, taken or released
    SEQUENCE = "sequence"  # nextval, setval, currval, lastval
    LOAD = "load"
    DISCARD = "discard"
    DO_BLOCK = "do_block"  # its body may do anything
    SESSION_FUNCTION = "session_function"  # setseed and others that change the session
    TOO_LONG = "too_long"  # not found here: for the caller, which knows the limit
    UNREADABLE = "unreadable"  # the text cannot be read with certainty
