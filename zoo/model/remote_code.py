"""What in a model's folder makes transformers run or fetch code: refused before it is loaded.

transformers runs a module that a configuration names (`auto_map`), fetches kernels that it names
(`attn_implementation: owner/name`), puts an adapter over the weights where one lies beside them,
and hands arguments on to timm, which reads other files by them. It asks for consent on the
terminal, or not at all. Nobody is asked here.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks import json_files
from tasks.errors import UserError

NOT_CONFIGS = ("zoo.json", "tokenizer.json", "vocab.json", "added_tokens.json")
"""Files at a model's root whose keys are words, or ours: no configuration of transformers'."""
READ = (
    "config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "generation_config.json",
    "special_tokens_map.json",
)
"""What transformers reads of nearly every model: JSON objects."""
INDEX_END = ".index.json"
ADAPTER = "adapter_config.json"
DISTRIBUTED = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")
"""Weights that transformers takes before `model.safetensors` where they lie beside it."""

CODE = ("auto_map", "custom_pipelines", "trust_remote_code")
KERNELS = ("use_kernels", "kernel_config")
BUILT_IN = {
    "attn_implementation": ("eager", "sdpa", "flex_attention"),
    "experts_implementation": ("eager", "batched_mm", "grouped_mm"),
}
"""What PyTorch itself computes; anything else is fetched, or may be. By the end of the key."""
QUANTIZED = ("quantization_config", "compression_config")
ELSEWHERE = ("checkpoint_path", "gguf_file", "audio_tokenizer", "init_inputs")
"""Files and repositories that are read beside the model's own."""
LISTS = ("configuration_files", "fast_tokenizer_files")
NAMES = ("architecture", "backbone")
"""Of timm, which fetches "hf-hub:owner/name"."""
ARGUMENTS = frozenset(
    ("checkpoint_path", "cache_dir", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay")
)
"""Of timm's `create_model`, that `model_args` must not bring: they load other weights."""
VOCABULARIES = ("vocab_file", "merges_file", "spm_file", "source_spm", "target_spm")


def refuse(folder: Path, name: str | None = None) -> None:
    """Raises `UserError` where a model's folder makes transformers run or fetch code, or a
    configuration in it is damaged.

    Args:
        name: what the folder is called in the error; by default as it is.
    """
    called = name or str(folder)
    refuse_other_weights(folder, called)
    for path in sorted(folder.iterdir()):
        if is_config(path.name) and (fault := fault_of(path)):
            raise UserError(f"{path.name} of {called} {fault}")


def refuse_other_weights(folder: Path, called: str) -> None:
    """Raises `UserError` where transformers would take other weights than model.safetensors."""
    for path in sorted(folder.iterdir()):
        if path.name == ADAPTER:
            raise UserError(
                f"{called} holds an adapter ({ADAPTER}), which would be put over the weights: "
                "merge it (peft's merge_and_unload) and save the model, or move it elsewhere"
            )
        if DISTRIBUTED.fullmatch(path.name):
            raise UserError(
                f"{called} holds {path.name}, which would be loaded in the place of "
                "model.safetensors: remove it, or save the model with save_pretrained"
            )


def is_config(name: str) -> bool:
    """Return whether a file at a model's root is a configuration of transformers'."""
    return name.endswith(".json") and name not in NOT_CONFIGS and not name.endswith(INDEX_END)


def fault_of(path: Path) -> str | None:
    """Return what a configuration does that is refused, or how it is damaged, as the end of a
    sentence that begins with its name; None where nothing is wrong."""
    try:
        state = path.stat()
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return _fault_of(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=1024)
def _fault_of(path: Path, changed: int, size: int) -> str | None:
    is_read = path.name in READ or path.name.startswith("config.")
    try:
        content = (json_files.read_object if is_read else json_files.read)(path)
    except OSError as error:
        return f"can't be read ({error.strerror})"
    except ValueError as error:
        if not is_read and not path.name.endswith("_config.json"):
            return None  # none that transformers looks for
        return f"is damaged ({error}): restore it from a copy"
    return next(_faults(content, path.parent), None)


def _faults(value: Any, folder: Path) -> Iterator[str]:
    """Faults of a configuration and of all that is nested in it."""
    if isinstance(value, list):
        for one in value:
            yield from _faults(one, folder)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        # numbers: a label or a token may be called as a field is, and has an index
        if inner is not None and (isinstance(inner, bool) or not isinstance(inner, int | float)):
            yield from _fault(key, inner, folder)
        yield from _faults(inner, folder)


def _fault(key: str, value: Any, folder: Path) -> Iterator[str]:
    if key in CODE and value is not False:
        yield f"names code to be run ({key}), and code of a model's is never run: refused"
    if key in KERNELS and value:
        yield f"asks for kernels of the Hub ({key}), which are code: refused; take {key} out"
    for end, known in BUILT_IN.items():
        if key.endswith((end, f"{end}_internal")):
            for named in value.values() if isinstance(value, Mapping) else [value]:
                if isinstance(named, str | list | dict) and named not in known:
                    yield (
                        f"names {named!r} as its {end}, which may be code of the Hub's: refused; "
                        f"one of {', '.join(known)}, or none"
                    )
    if key in QUANTIZED:
        yield f"says that its weights are quantized ({key}): take those that are not"
    if key in ELSEWHERE and value:
        yield f"names other files to be read ({key}): refused"
    if key in LISTS and any("/" in str(one) or "\\" in str(one) for one in _listed(value)):
        yield f"names files outside of its folder ({key}): refused"
    if key in NAMES and isinstance(value, str) and re.search(r"[:/\\]", value):
        yield f"names {value!r} as its {key}, which is not in this folder: refused"
    if key == "model_args" and isinstance(value, Mapping) and (bad := ARGUMENTS & set(value)):
        yield f"names other weights to be read (model_args: {sorted(bad)[0]}): refused"
    if key in VOCABULARIES and isinstance(value, str) and _is_elsewhere(value, folder):
        yield f"names a vocabulary outside of its folder ({key}): refused"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_elsewhere(name: str, folder: Path) -> bool:
    """Return whether a file is read from where it was once saved: a file in the folder is preferred
    to it."""
    if "/" not in name and "\\" not in name:
        return False
    beside = folder / re.split(r"[/\\]", name)[-1]
    return not (folder / "tokenizer.json").is_file() and not beside.is_file()
