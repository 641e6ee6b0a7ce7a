"""The ledger, twice: as it runs compiled, and the same source interpreted."""

import importlib.util
from pathlib import Path
from types import ModuleType

from forebay import relay
from forebay.relay import Ledger


def interpreted(name: str) -> ModuleType:
    """A compiled module's source as Python reads it."""
    path = Path(relay.__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"interpreted_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# They are not visible in the compiled module.
CONSTANTS = interpreted("ledger")
LEDGERS = {"compiled": Ledger, "interpreted": CONSTANTS.Ledger}
