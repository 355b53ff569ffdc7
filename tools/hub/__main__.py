"""`python -m tools.hub VERB ...`: see `tools.hub.cli`."""

import sys

from tools.hub.cli import main

if __name__ == "__main__":
    sys.exit(main())
