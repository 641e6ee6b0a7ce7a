"""What has to be done so that a worker runs what is desired. Pure."""

from collections.abc import Mapping

import msgspec

from forebay.channel import Apply, CredentialChange, WorkerProxy

_WITHOUT_USERS: list[object] = []


def difference(
    present: Mapping[str, WorkerProxy],
    desired: Mapping[str, WorkerProxy],
    drain_timeout_s: float,
) -> Apply:
    """The steps from what a worker runs (nothing, if it is new) to what it is to run.

    Where only users are others, they alone are sent. Listeners that a proxy has already are not
    passed again.
    """
    changed = [name for name in desired if name in present and desired[name] != present[name]]
    of_users = [name for name in changed if _bare(desired[name]) == _bare(present[name])]
    opened = [each for name, each in desired.items() if name not in present]
    altered = [desired[name] for name in changed if name not in of_users]
    return Apply(
        open=opened,
        change=altered,
        close=[name for name in present if name not in desired],
        credentials=[_users(present[name], desired[name]) for name in of_users],
        passed=[
            number
            for each in (*opened, *altered)
            for number in each.listeners
            if each.name not in present or number not in present[each.name].listeners
        ],
        drain_timeout_s=drain_timeout_s,
    )


def _bare(proxy: WorkerProxy) -> WorkerProxy:
    return msgspec.structs.replace(proxy, credentials=_WITHOUT_USERS)


def _users(present: WorkerProxy, desired: WorkerProxy) -> CredentialChange:
    was = {each.username: each for each in present.credentials}
    now = {each.username: each for each in desired.credentials}
    return CredentialChange(
        proxy=desired.name,
        users=[each for name, each in now.items() if was.get(name) != each],
        gone=[name for name in was if name not in now],
    )
