from forebay.identity.sources.source import SourceError, Versions, shown


def test_what_is_held_is_not_shown() -> None:
    found = Versions(b"hunter2", b"hunter2", b"hunter2", "v1", 5.0)
    assert "hunter2" not in repr(found)
    assert "v1" in repr(found)


def test_an_error_has_its_sentence() -> None:
    error = SourceError("is not there", transient=True)
    assert (str(error), error.sentence, error.transient) == ("is not there", "is not there", True)
    assert not SourceError("x").transient


def test_what_may_be_a_secret_itself_is_not_shown() -> None:
    assert shown("userlist:/a") == "userlist:/a"
    assert shown("secretsmanager:app") == "secretsmanager:app"
    assert shown("hunter2") == "a secret"
