"""What is particular to images when a model is quantized. Also a script:
`python -m zoo.vision.quantize`."""

import sys

METHODS = ("static",)
"""Dynamic int8 ruins convolutions, those that make the patches of a ViT too."""

if __name__ == "__main__":
    from zoo.export_command import main

    sys.exit(main("vision", "quantize"))
