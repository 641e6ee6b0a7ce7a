"""The functions that an operator lists, as a proxy's sessions look for them in every text."""

from dataclasses import dataclass
from typing import Final

from forebay.config.settings import ProxySettings
from forebay.relay.scan.glance import glance_text
from forebay.relay.scan.names import FunctionNames
from forebay.session.functions import Listed, functions_of, settings_of


@dataclass(frozen=True, slots=True)
class SoughtFunctions(Listed):
    """One proxy's list. ``names`` is None if no text has to be searched for any."""

    names: FunctionNames | None = None

    def is_certain(self, text: bytes) -> bool:
        """Whether ``text`` changes no session, as far as the first look can tell."""
        return glance_text(text) and not (self.names is not None and self.names.named_in(text))


NOTHING_SOUGHT: Final = SoughtFunctions()


def sought_by(proxy: ProxySettings) -> SoughtFunctions:
    """The list of a configuration that was checked. In rds mode it is empty: RDS Proxy has none."""
    if proxy.pinning == "rds":
        return NOTHING_SOUGHT
    functions = functions_of(proxy.session_functions)
    names = FunctionNames(functions.looked_for) if functions.looked_for else None
    return SoughtFunctions(functions, settings_of(proxy.session_settings), names)
