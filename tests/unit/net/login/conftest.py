"""What tests of logins share."""

from collections.abc import AsyncIterator

import pytest

from forebay.net.login import (
    Credentials,
    LoginPolicy,
    Throttle,
    UserEntry,
)
from tests.unit.net.login.doors import SERVER, VERIFIER, Door


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    credentials = await Credentials.derive(
        [
            UserEntry("app", ("secret",), "scram-sha-256"),
            UserEntry("old", ("secret",), "md5"),
            UserEntry("lambda", ("secret",), "iam"),
            UserEntry("both", ("secret",), "iam-or-scram-sha-256"),
        ]
    )
    throttle = Throttle(first_delay_s=0, max_delay_s=0)
    door = Door(LoginPolicy(credentials, False, SERVER, throttle, 30, verifier=VERIFIER))
    yield door
    await door.close()
