"""Weights at half their size, to be carried to a machine without a network: fp16, MiniLM in 45 MB.

python -m bench.gpu_check.weights minilm FOLDER
python -m bench gpu_check --weights FOLDER
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.cli import program
from zoo.nlp.presets import PRESETS
from zoo.store import pretrained

BESIDE = ("*.json", "vocab.txt", "merges.txt")
"""What a model has beside its weights: configuration and tokenizer."""


def main(argv: Sequence[str] | None = None) -> int:
    """Copy the weights of a preset or folder as fp16; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)

    def copy() -> int:
        if len(words) != 2 or words[0].startswith("-"):
            raise UserError("wants two words: weights (minilm, or a folder) and a new folder")
        target = Path(words[1])
        if target.exists():
            raise UserError(f"{target} is there already: name a new folder")
        size = halve(pretrained.find(words[0], PRESETS).folder, target)
        print_lines(f"{target}: {size / 1e6:.1f} MB of weights in fp16")
        return 0

    return program.guarded("weights", copy, "give the same command again")


def halve(source: Path, target: Path) -> int:
    """Write model.safetensors with all floats as fp16, and copy the other files of its folder;
    return the bytes of the weights. The model itself trains in fp32, whatever its file has.

    Raises `UserError` if the weights are in several files.
    """
    from safetensors.torch import load_file, save_file

    path = source / pretrained.WEIGHTS
    if not path.is_file():
        raise UserError(f"{source} has its weights in shards: too large to be carried")
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(path).items()
    }
    target.mkdir(parents=True)
    save_file(tensors, target / pretrained.WEIGHTS, metadata={"format": "pt"})
    for pattern in BESIDE:
        for file in source.glob(pattern):
            shutil.copyfile(file, target / file.name)
    return (target / pretrained.WEIGHTS).stat().st_size


if __name__ == "__main__":
    sys.exit(main())
