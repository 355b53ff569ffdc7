"""The log-mel extractor: right numbers, the same bits in any batch, and at home in transformers."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo.auto

# isort: split
from transformers import AutoFeatureExtractor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from tasks.errors import UserError
from zoo.speech.log_mel import LogMelFeatureExtractor, extractor_of
from zoo.speech.log_mel_args import LogMelArgs
from zoo.speech.mel import FIXED_MEAN, FIXED_STD, FLOOR, LEAST_STD

assert zoo.auto  # it registers
RATE = 16_000


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=samples).astype(np.float32) * 0.1


def test_the_numbers_are_those_of_transformers_slow_spectrogram() -> None:
    x = noise(5000)
    found = LogMelFeatureExtractor(40, normalize="none")(x, RATE)["input_features"][0]
    filters = mel_filter_bank(257, 40, 20.0, 8000.0, RATE, norm="slaney", mel_scale="slaney")
    expected = spectrogram(
        x, window_function(400, "hann"), 400, 160, 512, power=2.0, center=False, mel_filters=filters
    )
    np.testing.assert_allclose(found, np.log(expected + FLOOR).T, rtol=0, atol=1e-4)


def test_a_tone_is_loudest_in_its_own_bin() -> None:
    extractor = LogMelFeatureExtractor(80, normalize="none")
    loudest = []
    for hertz in (200, 800, 3000, 7000):
        tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)
        features = extractor(tone, RATE)["input_features"][0]
        assert (features.argmax(1) == features[0].argmax()).all()
        loudest.append(int(features[0].argmax()))
    assert loudest == sorted(set(loudest))


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 5000), min_size=1, max_size=6),
    normalize=st.sampled_from(["none", "mean", "mean_std"]),
)
def test_an_utterance_is_the_same_bits_alone_and_in_any_batch(
    lengths: list[int], normalize: str
) -> None:
    extractor = LogMelFeatureExtractor(40, normalize=normalize)
    waveforms = [noise(n, seed) for seed, n in enumerate(lengths)]
    batch = extractor(waveforms, RATE, return_tensors="np")
    features, mask = batch["input_features"], batch["attention_mask"]
    assert features.dtype == np.float32 and mask.dtype == np.int64
    assert features.shape[:2] == mask.shape == (len(lengths), extractor.frames(max(lengths)))
    for row, waveform in enumerate(waveforms):
        alone = extractor(waveform, RATE)["input_features"][0]
        frames = len(alone)
        assert frames == extractor.frames(len(waveform)) == mask[row].sum()
        assert features[row, :frames].tobytes() == alone.tobytes()
        assert not features[row, frames:].any() and not mask[row, frames:].any()


@settings(max_examples=25)
@given(length=st.integers(0, 9000), block=st.integers(1, 20), tail=st.sampled_from([0, 480]))
def test_causal_features_are_the_same_bits_whatever_follows(
    length: int, block: int, tail: int
) -> None:
    settled = {"normalize": "fixed", "block_frames": block, "tail_samples": tail}
    extractor = LogMelFeatureExtractor(40, **settled)
    whole, wave = (extractor(noise(n), RATE)["input_features"][0] for n in (12_000, length))
    assert len(wave) == extractor.frames(length)
    alike = max(0, length - extractor.win_length) // extractor.hop_length
    alike += length >= extractor.win_length  # frames without any of the tail
    assert wave[:alike].tobytes() == whole[:alike].tobytes()
    plain = LogMelFeatureExtractor(40, normalize="none")(noise(12_000), RATE)["input_features"][0]
    expected = (plain - FIXED_MEAN) / FIXED_STD
    np.testing.assert_allclose(whole[: len(plain)], expected, rtol=0, atol=1e-5)


def test_what_only_causal_features_have_is_not_written_for_others(tmp_path: Path) -> None:
    new = {"block_frames", "tail_samples"}
    assert not new & set(LogMelFeatureExtractor().to_dict())
    causal = LogMelFeatureExtractor(normalize="fixed", block_frames=8, tail_samples=99)
    causal.save_pretrained(tmp_path)
    again = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert again.to_dict() == causal.to_dict() and again.settings() == causal.settings()
    with pytest.raises(ValueError, match="must be 0 or more"):
        LogMelFeatureExtractor(block_frames=-1)


def test_bins_have_mean_zero_and_deviation_one_but_silence_is_not_blown_up() -> None:
    extractor = LogMelFeatureExtractor()
    features = extractor(noise(RATE) * np.linspace(0.01, 1, RATE, dtype=np.float32), RATE)[
        "input_features"
    ][0]
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(features.std(0), 1, atol=1e-3)
    # a telephone's recording: nothing above 4 kHz but rounding to 16 bits
    spectrum = np.fft.rfft(noise(RATE))
    spectrum[len(spectrum) // 2 :] = 0
    narrow = np.round(np.fft.irfft(spectrum) * 32768) / 32768
    above = extractor(narrow, RATE)["input_features"][0][:, -10:]
    assert above.std() < 0.5
    silence = extractor(np.zeros(RATE), RATE)["input_features"][0]
    assert np.abs(silence).max() < 1e-5
    assert LEAST_STD > 0


def test_loudness_has_no_say() -> None:
    extractor, x = LogMelFeatureExtractor(), noise(RATE)
    loud, soft = (extractor(x * gain, RATE)["input_features"] for gain in (1.0, 0.25))
    np.testing.assert_allclose(loud, soft, rtol=0, atol=2e-3)


def test_another_rate_and_two_channels_are_refused() -> None:
    extractor = LogMelFeatureExtractor()
    with pytest.raises(ValueError, match=r"8000.* resample"):
        extractor(noise(100), sampling_rate=8000)
    with pytest.raises(ValueError, match="one channel"):
        extractor([np.zeros((2, 100))], RATE)
    with pytest.raises(ValueError, match="one channel"):
        extractor(np.zeros((2, 2, 100)), RATE)
    with pytest.raises(ValueError, match="normalize"):
        LogMelFeatureExtractor(normalize="both")
    with pytest.raises(ValueError, match="in this order"):
        LogMelFeatureExtractor(win_length=600)


@pytest.mark.parametrize(
    ("flags", "sizes"),
    [
        ({}, (400, 160, 512)),
        ({"n_fft": 1024, "hop_length": 256}, (1024, 256, 1024)),  # as torchaudio reads them
        ({"n_fft": 2048, "win_length": 1200}, (1200, 160, 2048)),
        ({"win_length": 1200}, (1200, 160, 2048)),
        ({"win_length": 512}, (512, 160, 512)),
    ],
)
def test_the_flags_of_a_model(flags: dict[str, int], sizes: tuple[int, int, int]) -> None:
    found = extractor_of(LogMelArgs(num_mel_bins=16, sampling_rate=8000, **flags))
    assert (found.feature_size, found.sampling_rate) == (16, 8000)
    assert (found.win_length, found.hop_length, found.n_fft) == sizes


def test_flags_that_make_no_features() -> None:
    said = "`win_length` 400 and `n_fft` 256: none may be below the one before it"
    with pytest.raises(UserError, match=said):
        extractor_of(LogMelArgs(n_fft=256, win_length=400))
    with pytest.raises(UserError, match="`hop_length` 500, `win_length` 400"):
        extractor_of(LogMelArgs(hop_length=500))


@pytest.mark.parametrize("kind", [np.float64, np.float32, list, torch.float32, "rows"])
def test_it_takes_arrays_lists_and_tensors(kind: object) -> None:
    extractor, x = LogMelFeatureExtractor(), noise(2000)
    expected = extractor([x, x], RATE, return_tensors="pt")
    one = {list: x.tolist(), torch.float32: torch.from_numpy(x), np.float64: x.astype(np.float64)}
    given_ = np.stack([x, x]) if kind == "rows" else [one.get(kind, x)] * 2
    found = extractor(given_, RATE, return_tensors="pt")
    torch.testing.assert_close(found["input_features"], expected["input_features"], rtol=0, atol=0)
    assert found["input_features"].dtype == torch.float32
    assert found["attention_mask"].dtype == torch.int64


def test_padding_to_a_length_and_cutting() -> None:
    extractor, x = LogMelFeatureExtractor(), noise(RATE)
    long = extractor(x, RATE, padding="max_length", max_length=120, return_tensors="pt")
    assert long["input_features"].shape == (1, 120, 80) and int(long["attention_mask"].sum()) == 98
    short = extractor(x, RATE, max_length=50, truncation=True)
    assert short["input_features"].shape == (1, 50, 80)
    assert "attention_mask" not in extractor(x, RATE, return_attention_mask=False)


def test_a_long_recording_is_cut_in_blocks_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor, x = LogMelFeatureExtractor(), noise(8 * RATE)
    whole = extractor(x, RATE)["input_features"]
    monkeypatch.setattr("zoo.speech.mel._BLOCK", 100)
    np.testing.assert_allclose(extractor(x, RATE)["input_features"], whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("model_type", ["zoo_kws", "zoo_conformer", None])
def test_it_is_saved_and_found_again(tmp_path, model_type: str | None) -> None:
    extractor = LogMelFeatureExtractor(40, normalize="mean", min_frequency=50.0)
    extractor.save_pretrained(tmp_path)
    if model_type:
        (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    found = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert type(found) is LogMelFeatureExtractor and found.to_dict() == extractor.to_dict()
    x = noise(4000)
    assert (
        found(x, RATE)["input_features"].tobytes() == extractor(x, RATE)["input_features"].tobytes()
    )


def test_a_thousand_clips_take_seconds_at_most() -> None:
    clips = [noise(RATE, seed) for seed in range(200)]
    extractor = LogMelFeatureExtractor(40)
    extractor(clips[0], RATE)
    begin = time.process_time()
    extractor(clips, RATE, return_tensors="pt")
    # 0.5 s a thousand when the machine is quiet; the bound is for one that is not
    assert time.process_time() - begin < 1.5
