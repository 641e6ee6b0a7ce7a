"""What a proxy demands unless it is told otherwise."""

from forebay.net.login import Credentials, LoginPolicy


def test_what_nobody_chose_is_the_safe_choice() -> None:
    policy = LoginPolicy(Credentials({}))
    assert policy.require_tls
    assert (policy.verifier, policy.newer) == (None, None)
    assert LoginPolicy(Credentials({})).throttle is not policy.throttle
