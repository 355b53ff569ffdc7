"""What is particular to text when a model is quantized. Also a script:
`python -m zoo.nlp.quantize`."""

import sys

METHODS = ("dynamic", "static")
"""Linear layers take both: dynamic loses less, static is faster where it holds."""

if __name__ == "__main__":
    from zoo.export_command import main

    sys.exit(main("nlp", "quantize"))
