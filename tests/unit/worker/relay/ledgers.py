"""The ledger, twice: as it runs compiled, and the same source interpreted."""

import importlib.util
from pathlib import Path
from types import ModuleType

from forebay.worker import relay
from forebay.worker.relay import Ledger


def interpreted() -> ModuleType:
    """ledger.py as Python reads it. Its constants are not visible in the compiled module."""
    path = Path(relay.__file__).parent / "ledger.py"
    spec = importlib.util.spec_from_file_location("interpreted_ledger", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONSTANTS = interpreted()
LEDGERS = {"compiled": Ledger, "interpreted": CONSTANTS.Ledger}
