"""Lets torchvision and torchaudio import where their compiled parts do not fit this torch.

A CPU build of torch next to CUDA builds of torchvision or torchaudio is a common result of
`pip install`; both then fail at import ("operator torchvision::nms does not exist") and take timm,
peft and transformers' image classes with them, although nearly all they offer is pure Python.

`tasks.import_hook` asks here when one of the two is imported. Only where torch is a CPU build and
the extension really does not load is anything done: torchvision gets `nms` written in Python,
torchaudio a stand-in for its extension module.
"""

import functools
import importlib.machinery
import importlib.util
import logging
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


def extension_loads(spec: importlib.machinery.ModuleSpec, library: str) -> bool:
    """Return whether a package's shared library, e.g. `_C.so`, can be loaded with this torch.

    A package without that library (a pure Python build) counts as one that loads: there is nothing
    to mend.
    """
    import torch

    folder = Path(spec.submodule_search_locations[0]) if spec.submodule_search_locations else None
    if folder is None or not (folder / library).exists():
        return True
    try:
        torch.ops.load_library(str(folder / library))
    except OSError as error:
        logger.debug("%s does not load into torch %s: %s", library, torch.__version__, error)
        return False
    return True


def find_spec(
    package: str, path: Sequence[str] | None, target: types.ModuleType | None
) -> importlib.machinery.ModuleSpec | None:
    """Find a package named in `REPAIRS` as usual, and hook its loading."""
    library, before, after = REPAIRS[package]
    spec = importlib.machinery.PathFinder.find_spec(package, path, target)
    if spec is None or spec.loader is None:
        return spec
    exec_module = spec.loader.exec_module

    def guarded(module: types.ModuleType) -> None:
        import torch

        broken = torch.version.cuda is None and not extension_loads(spec, library)
        if broken:
            logger.debug("%s runs without its compiled extension", package)
            before()
        exec_module(module)
        if broken:
            after()

    spec.loader.exec_module = guarded  # type: ignore[method-assign]
    return spec


@functools.cache
def _torchvision_library() -> Any:
    import torch

    library = torch.library.Library("torchvision", "DEF")  # lives as long as the process
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    library.impl("qnms", nms, "CPU")
    return library


def nms(boxes: "Tensor", scores: "Tensor", iou_threshold: float) -> "Tensor":
    """Return the indices of the boxes that greedy non-maximum suppression keeps.

    Takes boxes [n, 4] as (x1, y1, x2, y2) and scores [n]; returns the kept indices, int64, best
    score first: a box goes when its intersection over union with a better, kept one exceeds
    `iou_threshold`.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    x1, y1, x2, y2 = boxes[order].unbind(1)
    area = (x2 - x1) * (y2 - y1)
    alive = torch.ones(len(order), dtype=torch.bool)
    for i in range(len(order)):
        if not alive[i]:
            continue
        width = (torch.minimum(x2[i], x2) - torch.maximum(x1[i], x1)).clamp(min=0)
        height = (torch.minimum(y2[i], y2) - torch.maximum(y1[i], y1)).clamp(min=0)
        overlap = width * height
        suppressed = overlap / (area[i] + area - overlap) > iou_threshold
        suppressed[: i + 1] = False
        alive &= ~suppressed
    return order[alive]


def _answer_has_ops() -> None:
    # Only now: while torchvision imports, "yes" would have it register shapes for operators that
    # are not there.
    sys.modules["torchvision.extension"]._has_ops = lambda: True  # type: ignore[attr-defined]


def _stand_in_for_torchaudio() -> None:
    def fail_if_no_align(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(
                f"{function.__name__} needs torchaudio's compiled extension, which does not fit "
                "this torch; install the builds of torch and torchaudio that belong together"
            )

        return refuse

    stand_in = types.ModuleType("torchaudio._extension")
    stand_in._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    stand_in._IS_ALIGN_AVAILABLE = False  # type: ignore[attr-defined]
    stand_in._check_cuda_version = lambda: None  # type: ignore[attr-defined]
    stand_in.fail_if_no_align = fail_if_no_align  # type: ignore[attr-defined]
    sys.modules["torchaudio._extension"] = stand_in


# Package -> its compiled library, and what is done before and after its import where it is broken.
REPAIRS: dict[str, tuple[str, Callable[[], object], Callable[[], object]]] = {
    "torchvision": ("_C.so", _torchvision_library, _answer_has_ops),
    "torchaudio": ("lib/_torchaudio.abi3.so", _stand_in_for_torchaudio, lambda: None),
}
