from forebay.dashboard import files


def test_what_there_is() -> None:
    assert {files.LOGIN, "icon.svg"} <= files.names()
    for name in files.names():
        assert files.content(name)
        assert files.media_type(name)
    assert not any(name.startswith(("/", "..")) or "/../" in name for name in files.names())
    assert not any(name.endswith((".py", ".pyc")) for name in files.names())


def test_types() -> None:
    assert files.media_type("a/b.js").startswith("text/javascript")
    assert files.media_type("icon.svg") == "image/svg+xml"
