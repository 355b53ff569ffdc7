"""What is done when a package is imported, whoever imports it; costs nothing until then.

torchvision and torchaudio are mended where their compiled parts do not fit this torch (see
`tasks.torch_extensions`); what others wait for is told by `after_import`.
"""

import sys
from collections.abc import Callable
from typing import Any

MENDED = ("torchvision", "torchaudio")

_waiting: dict[str, Callable[[], None]] = {}


class ImportHook:
    """A finder at the front of the import system, which runs code after a package is imported."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec of a package to repair or to wait for; None for any other.

        The import system calls it, see `importlib.abc.MetaPathFinder`.
        """
        if name in MENDED:
            from tasks import torch_extensions

            return torch_extensions.find_spec(name, path, target)
        return _followed(name, path, target) if name in _waiting else None


def install() -> None:
    """Put the finder at the front of the import system, at most once; imports nothing."""
    if ImportHook not in sys.meta_path:
        sys.meta_path.insert(0, ImportHook)


def after_import(package: str, act: Callable[[], None]) -> None:
    """Call `act` after a package is imported: now if it already is. Imports nothing."""
    if package in sys.modules:
        act()
    else:
        _waiting[package] = act


def _followed(name: str, path: Any, target: Any) -> Any:
    """Return the package's usual spec, with a loader that also calls the waiting functions."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec(name, path, target)
    if spec is None or spec.loader is None:
        return spec
    exec_module = spec.loader.exec_module

    def follow(module: Any) -> None:
        exec_module(module)
        # only now: who asks whether a package is there finds it, and imports nothing
        if act := _waiting.pop(name, None):
            act()

    spec.loader.exec_module = follow  # type: ignore[method-assign]
    return spec
