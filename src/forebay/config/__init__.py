"""Forebay's configuration: typed settings and the ways to load them."""

from forebay.config.addresses import Address, parse_address
from forebay.config.errors import ConfigError, Problem
from forebay.config.loading import (
    from_environment,
    from_url,
    load,
    load_any,
    means_url,
)
from forebay.config.settings import (
    AuthSettings,
    Config,
    Hidden,
    IamSettings,
    LimitSettings,
    NodeSettings,
    PoolSettings,
    ProxySettings,
    TargetSettings,
)

__all__ = [
    "Address",
    "AuthSettings",
    "Config",
    "ConfigError",
    "Hidden",
    "IamSettings",
    "LimitSettings",
    "NodeSettings",
    "PoolSettings",
    "Problem",
    "ProxySettings",
    "TargetSettings",
    "from_environment",
    "from_url",
    "load",
    "load_any",
    "means_url",
    "parse_address",
]
