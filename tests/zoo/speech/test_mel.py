"""Log-mel features without transformers: the bits are those of its filters and of our extractor."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo.auto

# isort: split
from transformers.audio_utils import mel_filter_bank

from tests.cli import run_program
from zoo.speech.log_mel import LogMelFeatureExtractor
from zoo.speech.mel import LogMel, filter_bank

assert zoo.auto  # it registers


@pytest.mark.filterwarnings("ignore:At least one mel filter")
@settings(max_examples=60)
@given(
    n_fft=st.sampled_from([64, 256, 400, 512, 1024]),
    bins=st.integers(1, 128),
    rate=st.sampled_from([8000, 11_025, 16_000, 44_100]),
    low=st.floats(0, 1999),
    high=st.floats(2000, 4000),
)
def test_the_filters_are_those_of_transformers(
    n_fft: int, bins: int, rate: int, low: float, high: float
) -> None:
    expected = mel_filter_bank(
        n_fft // 2 + 1, bins, low, high, rate, norm="slaney", mel_scale="slaney"
    )
    assert np.array_equal(filter_bank(n_fft // 2 + 1, bins, low, high, rate), expected)


def test_no_filters_go_downwards() -> None:
    with pytest.raises(ValueError, match="no filters go from 4000 to 20 Hz"):
        filter_bank(257, 8, 4000, 20, 16_000)


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 5000), min_size=1, max_size=5),
    normalize=st.sampled_from(["none", "mean", "mean_std"]),
    bins=st.integers(2, 80),  # transformers pads no features of one bin
    padding_value=st.sampled_from([0.0, -1.5]),
)
def test_it_reads_as_the_saved_extractor_does(
    lengths: list[int],
    normalize: str,
    bins: int,
    padding_value: float,
) -> None:
    extractor = LogMelFeatureExtractor(
        bins, 8000, normalize=normalize, padding_value=padding_value, return_attention_mask=True
    )
    waves = [
        np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)
        for seed, n in enumerate(lengths)
    ]
    expected = extractor(waves, 8000, padding=True, return_tensors="np")
    saved = json.loads(extractor.to_json_string())
    found = LogMel.of_settings(saved)(waves, 8000)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype and np.array_equal(found[name], values)
    with pytest.raises(ValueError, match="8000 samples a second, and this has 16000"):
        LogMel.of_settings(saved)(waves, 16_000)


def test_a_checkpoint_is_read_without_transformers(tmp_path: Path) -> None:
    LogMelFeatureExtractor(12, 8000).save_pretrained(tmp_path)
    program = (
        "import sys; from pathlib import Path; from zoo.speech.modality import MODALITY\n"
        f"print(MODALITY.load_reader(Path({str(tmp_path)!r})).feature_size,"
        " {'torch', 'transformers'} & set(sys.modules))"
    )
    done = run_program(program)
    assert done.out.split() == ["12", "set()"], done.err
