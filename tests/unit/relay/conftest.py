"""A relay between far ends, for every test of a part of it."""

from collections.abc import Iterator

import pytest

from tests.unit.relay.loopback import Loopback


@pytest.fixture
def loopback(caplog: pytest.LogCaptureFixture) -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback
    complaints = [record for record in caplog.records if record.name == "forebay.relay"]
    assert not complaints, complaints[0].getMessage()
