"""Whisper under our loop: token for token what transformers writes, and its own where asked."""

import json
from pathlib import Path

import pytest
import torch

from tests import tiny_speech

# isort: split
import transformers

from tasks.writes import unwrapped
from zoo.generation.network import NetworkDecoder
from zoo.speech.modeling_whisper import WhisperForConditionalGeneration

PLAIN = transformers.WhisperForConditionalGeneration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.whisper(tmp_path_factory.mktemp("whisper"), init_std=0.5)


@pytest.fixture
def model(folder: Path) -> WhisperForConditionalGeneration:
    """In English, with tokens that are never written, or not first."""
    made = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    tokens = {
        t["content"]: t["id"]
        for t in json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    }
    config = made.generation_config
    config._from_model_config = False  # else what is Whisper's own is not saved
    config.language, config.task, config.max_new_tokens, config.max_length = (
        "en",
        "transcribe",
        18,
        None,
    )
    config.lang_to_id = {"<|en|>": tokens["<|en|>"]}
    config.task_to_id = {"transcribe": tokens["<|transcribe|>"]}
    config.no_timestamps_token_id = tokens["<|notimestamps|>"]
    often = PLAIN.generate(made, _sounds(2)).flatten().mode().values.item()
    config.begin_suppress_tokens, config.suppress_tokens = [5, often], [9]
    return made


def _sounds(rows: int) -> torch.Tensor:
    return torch.randn(rows, 16, 200, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rows", [1, 5])
@torch.inference_mode()
def test_tokens_are_those_of_transformers(
    model: WhisperForConditionalGeneration, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = PLAIN.generate(model, _sounds(rows))
    monkeypatch.setattr(PLAIN, "generate", None)  # ours does without it
    ours = model.generate(_sounds(rows))
    assert torch.equal(ours, theirs) and ours.dtype == torch.int64
    assert len(ours.unique()) > 4


def test_in_bfloat16(model: WhisperForConditionalGeneration) -> None:
    """As evaluation does it there."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.generate(_sounds(3)), PLAIN.generate(model, _sounds(3)))


def test_with_adapters(model: WhisperForConditionalGeneration) -> None:
    import peft

    before = model.generate(_sounds(3))
    config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False, r=16)
    adapted = peft.get_peft_model(model, config).eval()
    ours, theirs = unwrapped(adapted).generate(_sounds(3)), PLAIN.generate(model, _sounds(3))
    assert torch.equal(ours, theirs) and not torch.equal(ours, before)


def test_what_only_transformers_knows(model: WhisperForConditionalGeneration) -> None:
    beams = PLAIN.generate(model, _sounds(3), num_beams=3)
    assert torch.equal(model.generate(_sounds(3), num_beams=3), beams)
    assert not torch.equal(model.generate(_sounds(3)), beams)
    model.generation_config.num_beams = 3
    assert torch.equal(model.generate(_sounds(3)), beams)


def test_it_is_saved_as_the_class_of_transformers(
    model: WhisperForConditionalGeneration, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["WhisperForConditionalGeneration"]
    assert "auto_map" not in config and not list(tmp_path.glob("*.py"))
    again = transformers.AutoModelForSpeechSeq2Seq.from_pretrained(tmp_path)
    assert type(again) is PLAIN
    saved = WhisperForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert torch.equal(saved.generate(_sounds(2)), model.generate(_sounds(2)))
    assert NetworkDecoder.of(saved).special_tokens == NetworkDecoder.of(model).special_tokens
