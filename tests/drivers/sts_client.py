"""What a client does to log in where the verifier is sts: the lines that the documentation has."""

import boto3


def sts_token(proxy_id: str, region: str) -> str:
    """A password for 15 minutes: a signed request that asks AWS who has signed it."""
    sts = boto3.client("sts", region_name=region)
    sts.meta.events.register(
        "before-sign.sts.GetCallerIdentity",
        lambda request, **_: request.headers.add_header("x-forebay-proxy-id", proxy_id),
    )
    token: str = sts.generate_presigned_url("get_caller_identity", ExpiresIn=900, HttpMethod="GET")
    return token
