"""The verifier ``sts``: AWS's Security Token Service says who has signed a token."""

from forebay.identity.sts.endpoints import Endpoint
from forebay.identity.sts.verifier import StsVerifier

__all__ = ["Endpoint", "StsVerifier"]
