"""What a feature extractor says of its inputs, and what a checkpoint records of that."""

from types import SimpleNamespace

import pytest

from tasks.speech.audio_features import AudioConfig, audio_config_of


def _extractor(**more: object) -> SimpleNamespace:
    names = ["input_features", "attention_mask"]
    return SimpleNamespace(model_input_names=names, return_attention_mask=True, **more)


@pytest.mark.parametrize(
    ("extractor", "frames"),
    [
        (_extractor(sampling_rate=16_000, hop_length=160), 100),
        (_extractor(sampling_rate=16_000, hop_length=256), 62.5),
        (_extractor(sampling_rate=8000, hop_length=160), 50),
        (_extractor(sampling_rate=8000, max_length=64), 100),  # AST: every 10 ms
    ],
)
def test_frames_follow_from_rate_and_hop(extractor: SimpleNamespace, frames: float) -> None:
    assert audio_config_of(extractor).frames_per_second == frames


@pytest.mark.parametrize("hop", [160, 256])
def test_what_is_recorded_is_read_back(hop: int) -> None:
    config = audio_config_of(_extractor(sampling_rate=8000, hop_length=hop))
    assert AudioConfig(**config.record()) == config
    # runs of before it could be chosen are compared with the record, to go on
    assert ("hop" in config.record()) == (hop != 160)
