"""`python -m zoo.tabular.export CHECKPOINT`: the verb export of whichever model it is."""

import sys

if __name__ == "__main__":
    from zoo.cli.domain import main

    sys.exit(main("tabular", "export"))
