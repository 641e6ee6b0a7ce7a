"""The client's lines for sts, run by boto3, and what forebay token makes, against a stand-in."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.cli import run
from forebay.identity.sts import StsVerifier
from forebay.identity.tokens import Reason, Refusal, Verified
from tests.harness.sts import REGION, USER_ARN, StandInSts, verifying
from tests.harness.typist import blocks, section

PAGE = Path(__file__).parents[2] / "docs" / "authentication.md"
KEY_ID, SECRET = "AKIAFOREBAYTEST00001", "s3cr3t/+"


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInSts]:
    """STS, and surroundings in which AWS's tools find it and an access key."""
    with StandInSts(verifying({KEY_ID: SECRET}, {KEY_ID: USER_ARN})) as stand_in:
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL_STS": stand_in.endpoint.url.rstrip("/"),
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }.items():
            monkeypatch.setenv(name, value)
        yield stand_in


async def checked(sts: StandInSts, token: str, proxy_id: str = "prx-orders") -> Verified | Refusal:
    verifier = StsVerifier([sts.endpoint], proxy_id)
    try:
        return await verifier.check(token.encode(), time.time())
    finally:
        verifier.close()


async def test_the_clients_lines(sts: StandInSts) -> None:
    """Those of the documentation."""
    ((_, _, text),) = [
        block for block in blocks(section(PAGE, "Tokens that AWS verifies")) if block[1] == "python"
    ]
    lines, connecting, _ = text.partition("\n\nconnection = ")
    assert connecting
    client: dict[str, Any] = {}
    exec(lines, client)
    token = client["sts_token"]("prx-orders", REGION)
    found = await checked(sts, token)
    assert isinstance(found, Verified), found
    assert found.principal_arn == USER_ARN
    assert len(sts.asked) == 1
    elsewhere = await checked(sts, token, "prx-others")
    assert isinstance(elsewhere, Refusal)
    assert elsewhere.reason is Reason.STS_REFUSED


async def test_forebay_token(sts: StandInSts, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "--sts", "--proxy-id", "prx-orders"]) == 0
    found = await checked(sts, capsys.readouterr().out.strip())
    assert isinstance(found, Verified), found
    assert found.principal_arn == USER_ARN
