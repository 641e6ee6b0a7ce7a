from forebay.embedded.configuration import configuration_text, hba_text


def test_settings_are_quoted() -> None:
    text = configuration_text({"port": 5, "ssl": True, "fsync": False, "x": "it's a \\"})
    assert text == "port = '5'\nssl = on\nfsync = off\nx = 'it''s a \\\\'\n"


def test_own_lines_come_before_the_built_in_ones() -> None:
    lines = hba_text(["local all all trust"]).splitlines()
    assert lines[0] == "local all all trust"
    assert all(line.endswith("scram-sha-256") for line in lines[1:])
