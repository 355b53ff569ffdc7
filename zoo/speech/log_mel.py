"""Log-mel features of speech, as a feature extractor that transformers saves, loads and pipes; what
they are is in `zoo.speech.mel`."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from transformers import BatchFeature, SequenceFeatureExtractor
from transformers.utils import logging

from tasks.errors import UserError
from zoo.speech.log_mel_args import LogMelArgs
from zoo.speech.mel import Floats, LogMel, other_rate

logger = logging.get_logger(__name__)
DEFAULT_WINDOW, DEFAULT_FFT = 400, 512  # samples


class LogMelFeatureExtractor(SequenceFeatureExtractor):  # type: ignore[misc]
    """A feature extractor from sound samples to `input_features` [batch, frames, mel bins] and
    `attention_mask` [batch, frames].

    Args:
        feature_size: mel bins.
        sampling_rate: of the samples it takes, in Hz.
        win_length: samples in a frame.
        hop_length: samples from one frame to the next.
        n_fft: samples the frame is extended to with zeros.
        min_frequency: where the lowest filter begins, in Hz.
        max_frequency: where the highest ends, in Hz; None: half the sampling rate.
        normalize: per utterance and bin, over its frames: "none", "mean", or "mean_std"; "fixed":
            by two constants, whatever the utterance.
        block_frames: frames that are computed together, so that no frame depends on how many there
            are; 0: as many as there are.
        tail_samples: silence that is heard behind an utterance, in samples.
    """

    model_input_names = ["input_features", "attention_mask"]  # noqa: RUF012

    def __init__(
        self,
        feature_size: int = 80,
        sampling_rate: int = 16_000,
        win_length: int = 400,
        hop_length: int = 160,
        n_fft: int = 512,
        min_frequency: float = 20.0,
        max_frequency: float | None = None,
        normalize: str = "mean_std",
        padding_value: float = 0.0,
        block_frames: int = 0,
        tail_samples: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(feature_size, sampling_rate, padding_value, **kwargs)
        self.win_length = win_length
        self.hop_length = hop_length
        self.n_fft = n_fft
        self.min_frequency = min_frequency
        self.max_frequency = max_frequency
        self.normalize = normalize
        self.block_frames = block_frames
        self.tail_samples = tail_samples
        self.settings()

    def to_dict(self) -> dict[str, Any]:
        """Return what preprocessor_config.json holds; what only causal features have is left out
        where it is 0, as in the files that were written before there was any."""
        found: dict[str, Any] = super().to_dict()
        for name in ("block_frames", "tail_samples"):
            if not found[name]:
                del found[name]
        return found

    def settings(self) -> LogMel:
        """Return what computes the features, without transformers."""
        return LogMel(
            self.feature_size,
            self.sampling_rate,
            self.win_length,
            self.hop_length,
            self.n_fft,
            self.min_frequency,
            self.max_frequency,
            self.normalize,
            self.block_frames,
            self.tail_samples,
        )

    def __call__(
        self,
        raw_speech: "npt.ArrayLike | Tensor | list[Any]",
        sampling_rate: int | None = None,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Return features float32 and their mask int64; padding frames are `padding_value` (0).

        `padding`, `max_length` (in frames) and the rest are as in `SequenceFeatureExtractor.pad`.

        Args:
            raw_speech: one utterance [samples], or several, each [samples], in [-1, 1].
            sampling_rate: of the samples; a ValueError where it isn't the extractor's.
        """
        if sampling_rate is None:
            logger.warning_once(
                f"pass sampling_rate to {type(self).__name__}: without it a wrong one goes unseen"
            )
        elif sampling_rate != self.sampling_rate:
            raise ValueError(other_rate(sampling_rate, self.sampling_rate))
        mel = self.settings()
        features = [mel.features(waveform) for waveform in _utterances(raw_speech)]
        batch = self.pad(
            BatchFeature({"input_features": features}),
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=return_attention_mask,
        )
        if "attention_mask" in batch:
            batch["attention_mask"] = [mask.astype(np.int64) for mask in batch["attention_mask"]]
        return batch if return_tensors is None else batch.convert_to_tensors(return_tensors)

    def frames(self, samples: "int | npt.NDArray[np.int64]") -> Any:
        """Return the number of frames made from so many samples: at least one."""
        heard = samples + self.tail_samples
        return np.maximum(heard - self.win_length, 0) // self.hop_length + 1


def extractor_of(args: LogMelArgs, **others: Any) -> LogMelFeatureExtractor:
    """Return the feature extractor that the flags of a model describe; `others` are those of its
    arguments that have no flag.

    Raises `UserError` where a frame is longer than its FFT, or shorter than the hop to the next.
    """
    win_length = args.win_length or args.n_fft or DEFAULT_WINDOW
    n_fft = args.n_fft or max(DEFAULT_FFT, 1 << (win_length - 1).bit_length())
    if not args.hop_length <= win_length <= n_fft:
        raise UserError(
            f"`hop_length` {args.hop_length}, `win_length` {win_length} and `n_fft` {n_fft}: none "
            "may be below the one before it"
        )
    return LogMelFeatureExtractor(
        args.num_mel_bins, args.sampling_rate, win_length, args.hop_length, n_fft, **others
    )


def features_of(extractor: LogMelFeatureExtractor) -> dict[str, int]:
    """Return the flags of `LogMelArgs` by which `extractor_of` makes an equal extractor."""
    return {
        "sampling_rate": extractor.sampling_rate,
        "num_mel_bins": extractor.feature_size,
        "n_fft": extractor.n_fft,
        "win_length": extractor.win_length,
        "hop_length": extractor.hop_length,
    }


def _utterances(raw_speech: Any) -> list[Floats]:
    """Return one utterance or several as a list of float32 [samples]."""
    several = isinstance(raw_speech, list | tuple) and (
        len(raw_speech) == 0 or np.ndim(raw_speech[0]) > 0
    )
    if isinstance(raw_speech, np.ndarray | Tensor) and raw_speech.ndim == 2:
        several = True
    waveforms = [
        np.asarray(one.detach().cpu() if isinstance(one, Tensor) else one, np.float32)
        for one in (raw_speech if several else [raw_speech])
    ]
    for waveform in waveforms:
        if waveform.ndim != 1:
            raise ValueError(
                f"an utterance is one channel [samples], not {list(waveform.shape)}: mix it down"
            )
    return waveforms
