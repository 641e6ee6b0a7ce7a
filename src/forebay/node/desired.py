"""What a worker is to run, put together of what the node has gathered. Pure."""

from collections.abc import Mapping

from forebay.channel import WorkerProxy
from forebay.config.settings import Config
from forebay.node.doors import Opened
from forebay.node.materials import Material


def desired(
    config: Config,
    materials: Mapping[str, Material],
    opened: Opened,
    paused: Mapping[str, frozenset[str]],
) -> dict[str, WorkerProxy]:
    """Each proxy with all that it needs, by name. ``paused``: databases, by proxy."""
    return {
        name: WorkerProxy(
            name=name,
            listeners=[number for each in opened[name] for number in each.numbers],
            settings=proxy,
            credentials=materials[name].credentials,
            certificates=[each.pair for each in materials[name].certificates],
            client_ca_pem=materials[name].client_ca_pem,
            access_keys=materials[name].access_keys,
            policies=materials[name].policies,
            paused=sorted(paused.get(name, ())),
        )
        for name, proxy in config.proxies.items()
    }
