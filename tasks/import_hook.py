"""Sees to it that torchvision and torchaudio are mended where their compiled parts do not fit this
torch, whoever imports them; see `tasks.torch_extensions`. Costs nothing until one of the two is
imported."""

import sys
from typing import Any

PACKAGES = ("torchvision", "torchaudio")


class Hook:
    """A finder in front of the import system."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """See `importlib.abc.MetaPathFinder`."""
        if name not in PACKAGES:
            return None
        from tasks import torch_extensions

        return torch_extensions.find_spec(name, path, target)


def install() -> None:
    """Put the finder in front, once. Imports nothing."""
    if Hook not in sys.meta_path:
        sys.meta_path.insert(0, Hook)
