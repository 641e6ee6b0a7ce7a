import msgspec

from forebay.channel.rows import NAME_CHARACTERS, ClientRow, name_as_text


def test_names_are_bounded_text_that_a_message_can_carry() -> None:
    assert name_as_text("shop é 数") == "shop é 数"
    assert len(name_as_text("x" * 1000)) == NAME_CHARACTERS
    odd = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")
    assert name_as_text(odd) == "caf? ?"
    row = ClientRow(id=1, database=name_as_text(odd), user="", identity="", state="idle")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=ClientRow) == row


def test_halves_of_what_utf_16_has_are_no_text() -> None:
    assert name_as_text("\ud800x") == "?x"
