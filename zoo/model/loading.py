"""The one place where transformers reads a model's folder: its configuration, processors, weights.

Nothing in it is run, nothing is fetched, nobody is asked for consent on the terminal, and whatever
a damaged folder makes the libraries raise becomes one sentence. `tests/test_architecture.py` allows
`from_pretrained` and `from_config` nowhere else.
"""

import contextlib
import dataclasses
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import json_files
from tasks.errors import UserError, foreign, shortened
from tasks.panics import is_panic
from zoo.model import parts, remote_code

if TYPE_CHECKING:
    from torch import nn

MOST = {
    ("layers", "blocks", "depth", "depths"): 10_000,
    ("size", "dim", "heads", "channels", "bins", "widths", "embeddings"): 2**31,
}
"""The largest sizes that a configuration may give a network, by the end of the field's name."""
PROCESSOR = "preprocessor_config.json"
FASTEST = 1_000_000
"""Samples a second of a sound: more is a number that was damaged."""
LARGEST_SIDE = 65_535
"""Pixels of an image's side: more is a number that was damaged."""
LONGEST_PADDING = 2**20
"""Tokens: a tokenizer that pads to more than that has a number that was damaged."""


RUST = ("tokenizer", "processor")
"""The parts of a folder that Rust code reads, that of the package tokenizers."""

EACH_LAYERS = frozenset(("class_embed", "enc_score_head"))
"""What transformers calls those layers of a detector that have an output for each class where each
layer of its decoder has one."""
CLASS_LAYERS = EACH_LAYERS | {"class_labels_classifier"}
"""What it calls all of them; those of one name may be layers of one perceptron."""


class Unreadable(UserError):
    """A folder that transformers can't read as what was wanted; `reason` is its own, one line."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def load_json(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of a model's folder. Raises `UserError` where it is none."""
    try:
        return json_files.read_object(folder / name)
    except OSError as error:
        raise UserError(f"{folder / name} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{folder / name} is damaged ({error}): restore it from a copy") from None


def load_config(folder: Path, kind: Any = None, **settings: Any) -> Any:
    """The configuration of a model.

    Args:
        kind: class of the configuration; by default the one that it names.
        settings: fields to be set otherwise.

    Raises `UserError` as `load_pretrained` does.
    """
    from transformers import AutoConfig

    return _from_folder(kind or AutoConfig, folder, "configuration", **settings)


def load_tokenizer(folder: Path, kind: Any = None, **settings: Any) -> Any:
    """A model's tokenizer, which has read one text; arguments and errors as of `load_config`.

    Raises `UserError` where its files, or some of them, are missing: transformers would make an
    empty one.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = _from_folder(kind or AutoTokenizer, folder, "tokenizer", **settings)
    except Unreadable:
        if kind is None:
            parts.must_be_there(folder)
        raise
    parts.must_be_filled(tokenizer, folder)
    with told(folder, "tokenizer"):
        must_pad_with_reason(tokenizer)
        tokenizer("a text")
    return tokenizer


def load_feature_extractor(folder: Path) -> Any:
    """A model's feature extractor, which has heard half a second of silence. Raises `UserError` as
    `load_pretrained` does."""
    from transformers import AutoFeatureExtractor

    extractor = _from_folder(AutoFeatureExtractor, folder, "feature extractor")
    with told(folder, "feature extractor"):
        must_hear(extractor)
    return extractor


def must_hear(extractor: Any) -> None:
    """Lets a feature extractor hear half a second of silence. Raises ValueError where its sampling
    rate is a number that was damaged, and whatever the extractor raises."""
    import numpy as np

    rate = extractor.sampling_rate
    if not (isinstance(rate, int) and 0 < rate <= FASTEST):
        raise ValueError(f"it hears {rate!r} samples a second")
    extractor([np.zeros(rate // 2 + 1, np.float32)], sampling_rate=rate)


def load_image_processor(folder: Path) -> Any:
    """A model's image processor. Raises `UserError` as `load_pretrained` does."""
    from transformers import AutoImageProcessor

    # where the weights are timm's, transformers 5.17 reads the model's configuration instead
    named = {"image_processor_filename": PROCESSOR} if (folder / PROCESSOR).is_file() else {}
    processor = _from_folder(AutoImageProcessor, folder, "image processor", **named)
    with told(folder, "image processor"):
        must_make_images(processor)
    return processor


def must_make_images(processor: Any) -> None:
    """Raises ValueError where an image processor has a number that was damaged."""
    for name, side in dict(getattr(processor, "size", None) or {}).items():
        if side is not None and not (isinstance(side, int) and 0 < side <= LARGEST_SIDE):
            raise ValueError(f"its size has {name} {side!r}")
    for name in ("image_mean", "image_std"):
        channels = getattr(processor, name, None)
        if channels is not None and not all(math.isfinite(one) for one in channels):
            raise ValueError(f"its {name} is {channels!r}")


def load_processor(folder: Path) -> Any:
    """A model's processor of several parts. Raises `UserError` as `load_pretrained` does."""
    from transformers import AutoProcessor

    return _from_folder(AutoProcessor, folder, "processor")


def load_pretrained(auto: Any, folder: Path, new_head: bool = False, **settings: Any) -> Any:
    """A model in fp32 with the weights of a folder; what else lies there is left.

    Args:
        auto: one of transformers' Auto classes, or of its models.
        new_head: whether the head may be missing or have another shape: then it is drawn from
            torch's global random state.
        settings: fields of the configuration.

    Raises `UserError` for a folder that makes code run (see `zoo.model.remote_code`) or lacks
    weights, and `Unreadable` where it is damaged or holds another kind of model.
    """
    return _whole(auto, folder, new_head, **settings)[0]


def load_with_head(auto: Any, folder: Path, **settings: Any) -> tuple[Any, list[str]]:
    """Load weights as `load_pretrained` does, with a head that may be new; return the model, and
    the names of the weights that were drawn, sorted."""
    return _whole(auto, folder, True, **settings)


def _whole(auto: Any, folder: Path, new_head: bool, **settings: Any) -> tuple[Any, list[str]]:
    model, report = _load(auto, folder, **settings)
    lacking = {*report["missing_keys"], *(key[0] for key in report["mismatched_keys"])}
    may_lack = head_names(model) if new_head else set()
    if found := sorted(key for key in lacking - may_lack if not _is_extra(model, key, new_head)):
        raise UserError(
            f"{folder} lacks weights that its config.json asks for, or has them in another shape: "
            f"{found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''}; take weights "
            "and configuration from one place"
        )
    return model, sorted(lacking)


def _load(auto: Any, folder: Path, **settings: Any) -> tuple[Any, dict[str, Any]]:
    import torch

    model, report = _from_folder(
        auto,
        folder,
        "model",
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are in the report
        **settings,
    )
    return model, report


def head_names(model: Any) -> set[str]:
    """Names of the weights that belong to a task and not to the network before it.

    Of a detector whose queries predict a set these are the layers of its classes alone: boxes are
    those of any class.
    """
    if hasattr(model, "timm_model"):
        found = model.timm_model.get_classifier()
        heads = found if isinstance(found, tuple) else (found,)  # two where it was distilled
        own = {id(one) for head in heads for one in head.parameters()}
        return {name for name, one in model.named_parameters() if id(one) in own}
    if of_classes := {n for n in model.state_dict() if CLASS_LAYERS.intersection(n.split("."))}:
        return of_classes
    return {
        name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")
    }


def _is_extra(model: Any, name: str, new_head: bool) -> bool:
    """Return whether a weight of the network's body is one that pretrained weights often come
    without: the pooling layer of those that were made to guess tokens, the mark of a masked
    frame."""
    is_body = not hasattr(model, model.base_model_prefix)
    often = "pooler" in name.split(".") or name.endswith("masked_spec_embed")
    return often and (new_head or is_body)


def load_model(auto: Any, folder: Path) -> "nn.Module":
    """The model of a checkpoint in fp32, by one of transformers' Auto classes, whole.

    transformers itself draws what is missing anew, with a warning. Raises `UserError` instead: such
    a checkpoint is of another version of the network.
    """
    model, report = _load(auto, folder)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found := sorted(map(str, report.get(what) or ())):
            raise UserError(
                f"{folder} does not fit {type(model).__name__}: {what.replace('_', ' ')} "
                f"{found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''}; it was made "
                "by another version: train it again, or use the version zoo.json names"
            )
    loaded: nn.Module = model
    return loaded


def new_model(auto: Any, config: Any) -> Any:
    """A model in fp32 of a configuration, by one of transformers' Auto classes; its weights are
    drawn from torch's global random state.

    Raises `Unreadable` where there is no such model.
    """
    import torch

    _never_ask()
    with told(getattr(config, "name_or_path", "") or "the configuration", "model"):
        return auto.from_config(config, dtype=torch.float32, trust_remote_code=False)


def must_agree(folder: Path, task: Any, processor: Any) -> None:
    """Raises `UserError` where a checkpoint's processor reads inputs otherwise than zoo.json says
    that its task does: one of the two files is damaged, or of another checkpoint."""
    lengths = getattr(task, "longest_text", None), getattr(task.args, "max_length", None)
    limit = max(length or 0 for length in lengths)
    with told(folder, "processor"):
        settled = task.bind_for_training(processor, limit)
    for field in dataclasses.fields(task):
        ours, theirs = getattr(task, field.name), getattr(settled, field.name)
        if field.compare and ours != theirs:
            raise UserError(
                f"{folder} is damaged: zoo.json has {field.name} {_shown(ours)}, and its processor "
                f"{_shown(theirs)}; restore both from a copy"
            )


def _shown(value: Any) -> str:
    return shortened(str(value), 80)


def unfilled(parameter: Any) -> bool:
    """Return whether `from_pretrained` has yet to give a parameter its value."""
    return not getattr(parameter, "_is_hf_initialized", False)


def _from_folder(kind: Any, folder: Path, what: str, **settings: Any) -> Any:
    remote_code.refuse(folder)
    _never_ask()
    with told(folder, what):
        if what in ("configuration", "model"):
            _must_be_of_this_world(load_json(folder, "config.json"), "")
        return kind.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **settings
        )


def _never_ask() -> None:
    """Inner models and processors are loaded without `trust_remote_code`, and would ask."""
    from transformers import dynamic_module_utils

    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0


@contextlib.contextmanager
def told(folder: Path | str, what: str) -> Iterator[None]:
    """Whatever the libraries raise about a folder, as `Unreadable`.

    They raise anything: KeyError for a wrong type, AttributeError for a missing one, MemoryError
    for a number that was damaged, panics out of Rust. A signal passes.
    """
    with _panics_unheard() if what in RUST else contextlib.nullcontext():
        try:
            yield
        except UserError:
            raise
        except BaseException as error:
            if not (isinstance(error, Exception) or is_panic(error)):
                raise
            lines = foreign(error).strip().splitlines()
            is_plain = lines and isinstance(error, OSError | ValueError)
            reason = lines[0] if is_plain else foreign(repr(error))
            raise Unreadable(
                f"the {what} of {folder} can't be read ({reason[:300]}): restore it from a copy",
                reason[:300],
            ) from error


@contextlib.contextmanager
def _panics_unheard() -> Iterator[None]:
    """Keeps what Rust writes of a panic off the terminal; anything else that is written to the
    standard error follows when it is over."""
    if sys.stderr is None:  # closed by who started us
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        kept = os.dup(2)
        os.dup2(written.fileno(), 2)
        panicked = False
        try:
            yield
        except Unreadable as error:
            panicked = is_panic(error.__cause__)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            written.seek(0)
            if not panicked:
                os.write(kept, written.read())
            os.close(kept)


def _must_be_of_this_world(value: Any, name: str) -> None:
    """Raises ValueError for a number in a configuration that no network has: it would be made layer
    by layer, for hours."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _must_be_of_this_world(inner, key)
    elif isinstance(value, list):
        for inner in value:
            _must_be_of_this_world(inner, name)
    elif isinstance(value, int):
        most = next((most for ends, most in MOST.items() if name.endswith(ends)), None)
        if most is not None and abs(value) > most:
            raise ValueError(f"its {name} is {value}")


def must_pad_with_reason(tokenizer: Any) -> None:
    """Raises ValueError where a tokenizer would pad a text to a length that no memory holds."""
    padding = getattr(getattr(tokenizer, "backend_tokenizer", None), "padding", None) or {}
    for name in ("length", "pad_to_multiple_of"):
        if (padding.get(name) or 0) > LONGEST_PADDING:
            raise ValueError(f"it pads texts to {padding[name]:,} tokens")
