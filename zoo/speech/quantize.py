"""What is particular to sound when a model is quantized. Also a script:
`python -m zoo.speech.quantize`."""

import sys

METHODS = ("static",)
"""All networks begin with convolutions, which dynamic int8 ruins."""

if __name__ == "__main__":
    from zoo.export_command import main

    sys.exit(main("speech", "quantize"))
