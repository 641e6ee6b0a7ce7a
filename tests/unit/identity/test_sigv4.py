"""Signatures: against one that botocore made, and part by part."""

import pytest

from forebay.identity.sigv4 import canonical_query, encode, scope, sign

REQUEST = {
    "host": "db.example.com:6432",
    "query": (
        "Action=connect&DBUser=app%20user%2F%C3%BC&X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAFOREBAYTEST00001%2F20261128%2Feu-central-1%2Frds-db%2Faws4_request"
        "&X-Amz-Date=20261128T103000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
    ),
    "date": "20261128T103000Z",
    "region": "eu-central-1",
    "service": "rds-db",
}
# By botocore 1.44.8.
SIGNATURE = "1fa790b1d9fa70cbcb522f64b6911a8ae6f619adbcbb148e04ffe2c160827414"


def test_a_signature_of_botocores() -> None:
    assert sign("s3cr3t/+key", **REQUEST) == SIGNATURE


@pytest.mark.parametrize("part", REQUEST)
def test_every_part_counts(part: str) -> None:
    assert sign("s3cr3t/+key", **(REQUEST | {part: REQUEST[part] + "0"})) != SIGNATURE
    assert sign("other", **REQUEST) != SIGNATURE


def test_queries_are_sorted_and_left_as_they_are() -> None:
    assert canonical_query([("b", "%2f"), ("A", "x"), ("a", "")]) == "A=x&a=&b=%2f"


@pytest.mark.parametrize(
    ("text", "encoded"),
    [("a-._~Z9", "a-._~Z9"), (" +/*", "%20%2B%2F%2A"), ("ü\udcff", "%C3%BC%FF")],
)
def test_encoding(text: str, encoded: str) -> None:
    assert encode(text) == encoded


def test_scopes() -> None:
    assert scope("20261128", "us-east-1", "rds-db") == "20261128/us-east-1/rds-db/aws4_request"
