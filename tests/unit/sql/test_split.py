"""Where statements end."""

import pytest

from forebay.sql.lexer import lex
from forebay.sql.split import segments, statements

BODY = "create or replace function f() returns int begin atomic {}end"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" ; ;; ", []),
        ("a;b; ;c", ["a", "b", "c"]),
        ("';' ; \";\" /* ; */ $$;$$ -- ;\n", ["';'", '";" /* ; */ $$;$$']),
        (
            "create rule r as on insert to t do (a; b); c",
            ["create rule r as on insert to t do (a; b)", "c"],
        ),
        ("a); b", ["a)", "b"]),
        ("a (; b", ["a (; b"]),
        (BODY.format("") + "; x", [BODY.format(""), "x"]),
        (BODY.format("select 1; ") + "; x", [BODY.format("select 1; "), "x"]),
        (
            BODY.format("select case when a then case b when c then 1 end end; select 2;") + "; x",
            [BODY.format("select case when a then case b when c then 1 end end; select 2;"), "x"],
        ),
        (
            BODY.format("select 1 as case, 2 case, t.end, 3 as end, 4 end;") + "; x",
            [BODY.format("select 1 as case, 2 case, t.end, 3 as end, 4 end;"), "x"],
        ),
        ("select begin atomic; x", ["select begin atomic", "x"]),
        ("create table atomic (a int); x", ["create table atomic (a int)", "x"]),
    ],
)
def test_statements(text: str, expected: list[str]) -> None:
    raw = text.encode()
    cut = statements(lex(raw).tokens)
    assert [raw[part[0].start : part[-1].end].decode() for part in cut] == expected


def test_segments_end_at_every_semicolon() -> None:
    raw = b"create rule r as on insert to t do (a; b);; c"
    cut = segments(lex(raw).tokens)
    assert [part[0].value for part in cut] == [b"create", b"b", b"c"]
    assert segments(lex(b"a;").tokens)[0][0].value == b"a"
