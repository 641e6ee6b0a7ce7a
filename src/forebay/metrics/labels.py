"""Values of labels and dimensions: names that clients and databases have chosen."""

from typing import Final

MAX_CHARACTERS: Final = 128
"""Longer than any name that PostgreSQL knows (63 bytes), and than a host and port mostly are."""

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def clean(value: str) -> str:
    """A name as it is told: not too long, and what was not UTF-8 as escapes."""
    cut = value[:MAX_CHARACTERS]
    return cut if cut.isascii() else cut.encode(errors="backslashreplace").decode()


def ascii_only(value: str) -> str:
    r"""A value of a dimension: CloudWatch takes only printable ASCII, and nothing empty, nor spaces
    alone; a name without characters becomes ``-``, others are escaped (``\xe9``)."""
    text = value[:MAX_CHARACTERS].encode("ascii", "backslashreplace").decode()
    text = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
    return text if text.strip() else "-"


def escaped(value: str) -> str:
    """A value of a label in Prometheus' text format, between quotation marks."""
    return clean(value).translate(_ESCAPES)
