"""What a worker inherits of the node's environment."""

from forebay.node.surroundings import inherited

NEEDED = {"PATH": "/bin", "LC_ALL": "C", "PYTHONHASHSEED": "1", "FOREBAY_LOG_LEVEL": "debug"}
SECRET = {
    "APP_SECRET": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "x", "PGPASSWORD": "x",
    "FOREBAY_DATABASE_URL": "x", "FOREBAY_PROXIES_APP_AUTH": "x",
}  # fmt: skip


def test_what_is_not_known_to_be_harmless_stays_with_the_node() -> None:
    assert inherited(NEEDED | SECRET) == NEEDED
