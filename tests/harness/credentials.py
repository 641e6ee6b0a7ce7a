"""Users and cancel keys, as a node gives them to a worker."""

from forebay.channel import Begin, Credential, DatabaseLogin, LoginMethod
from forebay.worker.sessions.cancel_keys import CancelKeys


def credential(user: str, password: str, auth: LoginMethod = "scram-sha-256") -> Credential:
    """A user whose clients show the password that it has in the database."""
    return Credential(
        username=user,
        auth=auth,
        passwords=(password,),
        identity=user,
        logins=(DatabaseLogin(user, password),),
    )


def cancel_keys(
    worker_number: int = 1, secret: bytes = b"secret", proxy: str = "app"
) -> CancelKeys:
    """Those of one proxy's clients in one worker."""
    return CancelKeys(Begin(worker_number=worker_number, cancel_secret=secret), proxy)
