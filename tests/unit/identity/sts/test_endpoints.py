"""Where STS is, as operators and regions say it."""

import botocore.session
import pytest
from botocore.config import Config

from forebay.identity.sts import Endpoint


@pytest.mark.parametrize(
    "region",
    [
        *("us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1"),
        *("us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1"),
    ],
)
def test_the_endpoint_of_a_region_is_botocores(region: str) -> None:
    session = botocore.session.get_session()
    client = session.create_client(
        "sts", region, aws_access_key_id="A", aws_secret_access_key="s", config=Config()
    )
    assert f"{client.meta.endpoint_url}/" == Endpoint.of_region(region).url
    client.close()


@pytest.mark.parametrize(
    ("text", "url", "header"),
    [
        ("https://sts.example", "https://sts.example/", "sts.example"),
        ("https://STS.example/", "https://sts.example/", "sts.example"),
        ("https://sts.example:443", "https://sts.example/", "sts.example"),
        ("https://sts.example:8443", "https://sts.example:8443/", "sts.example:8443"),
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566/", "127.0.0.1:4566"),
        ("http://[::1]:80", "http://[::1]/", "[::1]"),
    ],
)
def test_what_operators_write(text: str, url: str, header: str) -> None:
    endpoint = Endpoint.parse(text, "eu-west-1")
    assert (endpoint.url, endpoint.host_header) == (url, header)
    assert endpoint.encrypted is text.startswith("https")
    assert endpoint.region == "eu-west-1"


def test_an_address_to_connect_to() -> None:
    assert Endpoint.parse("https://[::1]", "eu-west-1").address == "::1"


def test_the_global_endpoint_signs_for_its_own_region() -> None:
    assert Endpoint.parse("https://sts.amazonaws.com", "eu-west-1").region == "us-east-1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sts.example", "is no address of STS: https://HOST"),
        ("https://user@sts.example", "is no address of STS"),
        ("https://sts.example/path", "is no address of STS"),
        ("https://sts.example?x", "is no address of STS"),
        ("https://sts.example:0", "is no address of STS"),
        ("https://sts.example:65536", "has a port above 65535"),
    ],
)
def test_what_is_none(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Endpoint.parse(text, "eu-west-1")


def test_what_is_no_region() -> None:
    for make in (Endpoint.of_region, lambda region: Endpoint.parse("https://h", region)):
        with pytest.raises(ValueError, match="is no region"):
            make("EU west")
