"""MD5 authentication."""

from forebay.protocol import md5


def test_known_value() -> None:
    # What PostgreSQL stores for: CREATE ROLE m5 PASSWORD 'secret' with password_encryption=md5
    assert md5.stored_hash("m5", "secret") == "9a96608d07d97a3bb68405788126af00"


def test_right_and_wrong() -> None:
    stored = md5.stored_hash("app", "secret")
    answer = md5.response(stored, b"salt").encode()
    assert md5.verify(stored, b"salt", answer)
    assert not md5.verify(stored, b"tlas", answer)
    assert not md5.verify(md5.stored_hash("app", "other"), b"salt", answer)
    assert not md5.verify(stored, b"salt", b"")
    assert not md5.verify(stored, b"salt", b"\xff" * 35)


def test_stored_form() -> None:
    stored = md5.stored_hash("app", "secret")
    assert md5.parse_stored("md5" + stored) == stored
    for other in (stored, "md5", "MD5" + stored, "md5" + stored.upper(), f"md5{stored}0", ""):
        assert md5.parse_stored(other) is None
    assert md5.parse_stored(f"md5{stored}\n") is None
