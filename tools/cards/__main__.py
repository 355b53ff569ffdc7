"""`python -m tools.cards ...`: see `tools.cards.cli`."""

import sys

from tools.cards.cli import main

if __name__ == "__main__":
    sys.exit(main())
