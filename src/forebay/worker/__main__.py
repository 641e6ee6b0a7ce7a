"""``python -m forebay.worker``: see main.py."""

import sys

from forebay.worker.main import main

if __name__ == "__main__":
    sys.exit(main())
