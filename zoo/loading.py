"""A checkpoint's network, whole: no weight missing, none left over."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tasks.errors import UserError

if TYPE_CHECKING:
    from torch import nn


def unfilled(parameter: Any) -> bool:
    """Whether `from_pretrained` has yet to give a parameter its value."""
    return not getattr(parameter, "_is_hf_initialized", False)


def load_model(auto: Any, folder: Path) -> "nn.Module":
    """The model of a checkpoint in fp32, by one of transformers' Auto classes.

    transformers itself draws what is missing anew, with a warning. Raises `UserError` instead: such
    a checkpoint is of another version of the network.
    """
    model, report = auto.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found := sorted(map(str, report.get(what) or ())):
            raise UserError(
                f"{folder} does not fit {type(model).__name__}: {what.replace('_', ' ')} "
                f"{found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''}; it was made "
                "by another version: train it again, or use the version zoo.json names"
            )
    loaded: nn.Module = model
    return loaded
