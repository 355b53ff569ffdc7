"""`python -m zoo.tabular.quantize CHECKPOINT`: the verb quantize of whichever model it is."""

import sys

if __name__ == "__main__":
    from zoo.cli.domain import main

    sys.exit(main("tabular", "quantize"))
