"""What makes transformers run or fetch code is told from what only looks like it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.model import loading, remote_code
from zoo.model.entry import Preset
from zoo.store import pretrained

KERNEL = "owner/kernels:fn"


def folder_with(folder: Path, content: object, name: str = "config.json") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"auto_map": {"AutoModel": "x.Y"}}, "auto_map"),
        ({"auto_map": ["x.Y", None]}, "auto_map"),
        ({"auto_map": "owner/name--x.Y"}, "auto_map"),
        ({"custom_pipelines": {"p": {"impl": "x.Y"}}}, "custom_pipelines"),
        ({"trust_remote_code": True}, "trust_remote_code"),
        ({"text_config": {"auto_map": {"AutoModel": "x.Y"}}}, "auto_map"),
        ({"layers": [[{"auto_map": {"AutoModel": "x.Y"}}]]}, "auto_map"),
        ({"attn_implementation": KERNEL}, KERNEL),
        ({"_attn_implementation": "kernels-community/flash-attn2"}, "kernels-community"),
        ({"_attn_implementation_internal": KERNEL}, KERNEL),
        ({"attn_implementation": {"": "sdpa", "text_config": KERNEL}}, KERNEL),
        ({"vision_config": {"attn_implementation": KERNEL}}, KERNEL),
        ({"attn_implementation": "flash_attention_2"}, "flash_attention_2"),  # fetched if missing
        ({"attn_implementation": f"paged|{KERNEL}"}, KERNEL),
        ({"experts_implementation": KERNEL}, KERNEL),
        ({"use_kernels": True}, "use_kernels"),
        ({"kernel_config": {"RMSNorm": KERNEL}}, "kernel_config"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "quantized"),
        ({"text_config": {"quantization_config": {"quant_method": "gptq"}}}, "quantized"),
        ({"configuration_files": ["../config.4.0.0.json"]}, "configuration_files"),
        ({"architecture": "hf-hub:owner/name"}, "hf-hub:owner/name"),
        ({"architecture": "local-dir:/tmp/x"}, "local-dir"),
        ({"backbone": "owner/name"}, "owner/name"),
        ({"model_args": {"checkpoint_path": "/tmp/x.bin"}}, "checkpoint_path"),
        ({"model_args": {"pretrained_cfg": {"url": "x"}}}, "pretrained_cfg"),
        ({"audio_tokenizer": {"audio_tokenizer_name_or_path": "owner/name"}}, "audio_tokenizer"),
        ({"init_inputs": ["/etc/passwd"]}, "init_inputs"),
        ({"gguf_file": "/tmp/x.gguf"}, "gguf_file"),
        ({"vocab_file": "/home/somebody/vocab.txt"}, "vocab_file"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "config.9.0.0.json"])
def test_what_runs_or_fetches_code_is_refused(
    content: object, said: str, name: str, tmp_path: Path
) -> None:
    folder = folder_with(tmp_path, content, name)
    with pytest.raises(UserError) as told:
        remote_code.refuse(folder)
    assert said in str(told.value) and str(told.value).startswith(f"{name} of {folder} ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"label2id": {"auto_map": 0, "use_kernels": 1, "quantization_config": 2}},
        {"id2label": {"0": "auto_map", "1": "trust_remote_code"}},
        {"auto_map": None, "trust_remote_code": False, "quantization_config": None},
        {"attn_implementation": "sdpa", "_attn_implementation": "eager"},
        {"attn_implementation_autoset": True, "experts_implementation": "grouped_mm"},
        {"attn_implementation": {"": "sdpa", "text_config": None}},
        {"architecture": "resnet50.a1_in1k", "model_args": {"img_size": 16}},
        {"architectures": ["BertModel"], "backbone": None},
        {"configuration_files": ["config.4.0.0.json"]},
        {"_name_or_path": "owner/name", "tokenizer_file": "/home/somebody/tokenizer.json"},
        {"special_tokens_map_file": "/root/.cache/x", "vocab_file": "vocab.txt"},
    ],
    ids=json.dumps,
)
def test_what_only_looks_like_it_is_taken(content: object, tmp_path: Path) -> None:
    remote_code.refuse(folder_with(tmp_path, content))


def test_words_of_a_vocabulary_are_no_fields(tmp_path: Path) -> None:
    words = {"auto_map": "x", "use_kernels": [1], "model": {"vocab": {"trust_remote_code": "a"}}}
    for name in ("vocab.json", "tokenizer.json", "added_tokens.json", "zoo.json"):
        folder_with(tmp_path, words, name)
    remote_code.refuse(tmp_path)


def test_an_old_path_of_a_vocabulary_that_lies_beside_is_no_fault(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"vocab_file": "/home/somebody/vocab.txt"})
    (folder / "vocab.txt").write_text("a")
    remote_code.refuse(folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("adapter_config.json", "adapter"),
        ("shard-00000-model-00001-of-00001.safetensors", "in the place of model.safetensors"),
    ],
)
def test_what_would_change_the_weights_is_refused(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=said):
        remote_code.refuse(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "damaged"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        ('{"a": ' * 20_000 + "1" + "}" * 20_000, "nested"),
        ('{"a": ' * 200 + "1" + "}" * 200, "nested"),
        ("\x00\xff", "damaged"),
        ('{"a": ' + "9" * 5000 + "}", "damaged"),
    ],
    ids=["cut", "list", "null", "deep", "less deep", "binary", "digits"],
)
def test_a_damaged_configuration_is_told(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=said):
        remote_code.refuse(tmp_path)


def test_a_configuration_that_was_changed_is_read_again(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {})
    remote_code.refuse(folder)
    folder_with(folder, {"auto_map": {"AutoModel": "x.Y"}})
    with pytest.raises(UserError, match="auto_map"):
        remote_code.refuse(folder)


def test_weights_in_a_package_are_looked_at_too(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib
    import shutil

    folder = tmp_path / "package_of_weights" / "model"
    shutil.copytree(tiny_bert, folder)
    content = (folder / "model.safetensors").read_bytes()
    folder_with(folder, {"model_type": "bert", "auto_map": {"AutoModel": "x.Y"}})
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256(content).hexdigest()
    preset = Preset("o/n", "MIT", None, digest, "package", "package_of_weights/model")
    with pytest.raises(UserError, match="auto_map"):
        pretrained.find("planted", {"planted": preset})


def test_what_is_loaded_inside_asks_nobody(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers hands no `trust_remote_code` on to models and processors inside of others."""
    import io
    import sys

    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "TIME_OUT_REMOTE_CODE", 15)
    loading.load_config(tiny_bert)
    monkeypatch.setattr(sys, "stdin", answers := io.StringIO("y\n" * 100))
    with pytest.raises(ValueError, match="trust_remote_code"):
        dynamic_module_utils.resolve_trust_remote_code(None, "a/b", False, True)
    assert answers.tell() == 0, "an answer was read"


def test_a_kernel_in_a_sub_configuration_is_not_fetched(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from transformers import AutoModel

    from tests.faults.planted import change

    folder = tmp_path / "weights"
    shutil.copytree(tiny_bert, folder)
    change(folder / "config.json", lambda c: c.update(_attn_implementation=KERNEL))
    asked: list[Any] = []
    monkeypatch.setattr(
        "transformers.modeling_utils.lazy_import_flash_attention",
        lambda *given, **more: asked.append(given),
    )
    with pytest.raises(UserError, match=KERNEL):
        loading.load_pretrained(AutoModel, folder)
    assert asked == []
    AutoModel.from_pretrained(folder)
    assert asked == [(KERNEL,)]  # what transformers does by itself
