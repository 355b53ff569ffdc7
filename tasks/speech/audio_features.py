"""Sounds as a model takes them: decoded, varied in training, turned into features by the processor.

What transformers calls a feature extractor makes the features, from the very samples that
`transformers.pipeline` would give it, so a checkpoint sees the same numbers here and there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from tasks.base import Batch, Viewed
from tasks.bounds import NotNegative, Positive
from tasks.errors import UserError
from tasks.speech.augment_args import AugmentArgs

if TYPE_CHECKING:
    import datasets
    import numpy as np

    from tasks.media.decoding import Decoded
    from tasks.preflight import Finding

OVERLAP = 0.1  # of a window that it shares with the next


@dataclass(frozen=True)
class AudioArgs(AugmentArgs):
    """How sounds are read."""

    audio_column: str | None = None
    """column of the sound or its path; found by itself where it has a usual name"""
    on_bad_file: Literal["skip", "stop"] = "stop"
    """what to do about a sound that can't be read or is too long"""
    max_seconds: Positive = 30.0
    """longest sound to train or evaluate on; longer ones count as bad files"""
    min_seconds: NotNegative = 0.02
    """shortest sound"""
    window_seconds: Positive = 20.0
    """predict: longer sounds are cut in overlapping windows of this length"""


@dataclass(frozen=True)
class AudioConfig:
    """What the feature extractor says of the inputs it makes."""

    rate: int = 16_000  # samples a second
    input_name: str = "input_features"
    masked: bool = True  # whether the model takes an attention mask
    longest: int = 0  # samples that the features hold, what is behind is cut off; 0: all
    bins_first: bool = False  # whether the model takes [bins, frames], as Whisper does
    hop: int = 160  # samples from one frame of a spectrogram to the next

    @property
    def frames_per_second(self) -> float:
        """The number of frames of a spectrogram in a second."""
        return self.rate / self.hop

    def record(self) -> dict[str, Any]:
        """Return what a checkpoint records, as plain JSON.

        A `hop` of 160 is left out: it is what checkpoints have that were made before it could be
        chosen, and a run of then can still be resumed.
        """
        fields = asdict(self)
        if self.hop == AudioConfig.hop:
            del fields["hop"]
        return fields


def audio_config_of(extractor: Any) -> AudioConfig:
    """Rate, name of the input and use of a mask, from a feature extractor."""
    rate = int(extractor.sampling_rate)
    longest = int(getattr(extractor, "n_samples", 0))  # Whisper
    hop = int(getattr(extractor, "hop_length", AudioConfig.hop))
    if hasattr(extractor, "max_length"):  # AST: frames of 25 ms every 10 ms
        hop = rate // 100
        longest = (extractor.max_length - 1) * rate // 100 + rate // 40
    return AudioConfig(
        rate,
        str(extractor.model_input_names[0]),
        bool(getattr(extractor, "return_attention_mask", False)),
        longest,
        hasattr(extractor, "nb_max_frames"),
        hop,
    )


def cut_off(features: "Mapping[str, Any]", audio_config: AudioConfig) -> "list[Finding]":
    """A warning for each split with sounds that are longer than what the model hears."""
    from tasks.preflight import Finding

    limit = audio_config.longest / audio_config.rate
    over = {
        name: int((split.lengths > limit + 1 / audio_config.rate).sum())
        for name, split in features.items()
        if audio_config.longest
    }
    return [
        Finding(
            "warning",
            f"{name}: {count:,} sounds are longer than the {limit:.2f} s that the model hears; the "
            "rest of them is cut off",
        )
        for name, count in over.items()
        if count
    ]


def decode_split(
    examples: "datasets.Dataset", args: AudioArgs, rate: int, cache_key: str
) -> "Decoded":
    """The sounds of a split, float32 [samples] each, in memory where they fit."""
    from tasks.media import decoding
    from tasks.speech.sound import audio

    def decode(media: Mapping[str, Any]) -> "np.ndarray":
        return audio.decode(
            media, rate=rate, max_seconds=args.max_seconds, min_seconds=args.min_seconds
        )

    return decoding.decode_split(
        examples,
        decode,
        lambda samples: len(samples) / rate,
        on_bad_file=args.on_bad_file,
        cache_key=f"{cache_key}/{rate}/{args.max_seconds}/{args.min_seconds}",
        title="reading sounds",
    )


class AudioFeatures(Viewed):
    """The sounds of one split, varied as a view says. Satisfies `tasks.base.Features`."""

    def __init__(
        self,
        decoded: "Decoded",
        targets: Mapping[str, Sequence[Any]],
        extractor: Any,
        audio_config: AudioConfig,
        args: AudioArgs,
    ) -> None:
        """`targets` are columns of the split: a row has the value at its place."""
        import numpy as np

        self.decoded = decoded
        self.origins: np.ndarray = decoded.kept
        self.targets = {
            name: [column[int(i)] for i in decoded.kept] for name, column in targets.items()
        }
        self.lengths: np.ndarray = decoded.sizes
        self.rows: np.ndarray = np.ones(len(decoded), np.int64)
        self.extractor, self.audio_config, self.args = extractor, audio_config, args

    def __len__(self) -> int:
        return len(self.decoded)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Rows with sample_id, windows (one: features float32 [frames, ...]) and the targets."""
        import numpy as np

        from tasks.randomness import SampleRandom
        from tasks.speech import augment

        waves = [self.decoded.get(int(i)) for i in indices]
        view = self._view
        if view is None:
            found = extract(waves, self.extractor, self.audio_config)
        else:
            draws = SampleRandom(view, list(indices))
            how = self.args, view.strength, self.audio_config.rate
            varied = [
                self._whole(wave, augment.waveform(wave, draws, i, *how))
                for i, wave in enumerate(waves)
            ]
            found = extract(varied, self.extractor, self.audio_config)
            for i, features in enumerate(found):
                if features.ndim == 2:
                    sound = features[: self._frames(len(varied[i]))]  # what is behind is padding
                    masked = augment.spec_augment(sound, draws, i, self.args, view.strength)
                    found[i] = np.concatenate([masked, features[len(sound) :]])
        return [
            {"sample_id": int(i), "windows": [features]}
            | {name: column[int(i)] for name, column in self.targets.items()}
            for i, features in zip(indices, found, strict=True)
        ]

    def _whole(self, wave: "np.ndarray", varied: "np.ndarray") -> "np.ndarray":
        """The varied sound, or itself where only the varied one is too long for the model: what is
        said at its end would be cut off."""
        return wave if len(wave) <= self.audio_config.longest < len(varied) else varied

    def _frames(self, samples: int) -> int:
        """No fewer than the frames that so many samples have an influence on."""
        hop: int = getattr(self.extractor, "hop_length", self.audio_config.rate // 100)
        return -(-samples // hop)


def extract(
    waves: "Sequence[np.ndarray]", extractor: Any, audio_config: AudioConfig
) -> "list[np.ndarray]":
    """The features of each sound float32 [frames, ...], padding cut off."""
    import numpy as np

    made = extractor(
        list(waves),
        sampling_rate=audio_config.rate,
        padding="max_length" if audio_config.bins_first else True,
        return_attention_mask=not audio_config.bins_first,
        return_tensors="np",
    )
    features = np.asarray(made[audio_config.input_name], np.float32)
    if audio_config.bins_first:
        features = features.transpose(0, 2, 1)
    if "attention_mask" not in made or not _pads_to_longest(features, made["attention_mask"]):
        return list(features)  # the same length for all, as the model wants it
    return [f[: int(n)] for f, n in zip(features, made["attention_mask"].sum(1), strict=True)]


def _pads_to_longest(features: "np.ndarray", mask: "np.ndarray") -> bool:
    """Return whether a mask is over the first axis of the features, and the longest has no
    padding."""
    return bool(mask.shape[1] == features.shape[1] and mask.sum(1).max() == mask.shape[1])


def cut(wave: "np.ndarray", rate: int, window_seconds: float) -> "list[tuple[int, np.ndarray]]":
    """A sound in overlapping windows: where each begins (in samples), and its samples.

    Raises `UserError` for a sound without samples.
    """
    from tasks.speech.audio_inputs import windows

    if not len(wave):
        raise UserError("a sound has no samples")
    return windows(wave, rate, window_seconds, OVERLAP * window_seconds)


def pad(rows: Sequence[Mapping[str, Any]], audio_config: AudioConfig) -> Batch:
    """All windows of all rows, padded with zeros to the longest, in numpy's arrays.

    The inputs are the model's float32 [windows, frames, ...] (where `bins_first`, [windows, bins,
    frames]) and, where the model takes it, `attention_mask` int64 [windows, frames]. `lengths` are
    in frames.
    """
    import numpy as np

    windows = [window for row in rows for window in row["windows"]]
    lengths: Any = np.array([len(window) for window in windows], np.int64)
    size = int(lengths.max())
    if windows[0].ndim == 1:  # the first convolutions over samples see 25 ms at once
        size = max(size, audio_config.rate // 40)
    padded = np.zeros((len(windows), size, *windows[0].shape[1:]), np.float32)
    for place, window in zip(padded, windows, strict=True):
        place[: len(window)] = window
    if audio_config.bins_first:
        padded = np.ascontiguousarray(padded.transpose(0, 2, 1))
    inputs: dict[str, Any] = {audio_config.input_name: padded}
    if audio_config.masked:
        inputs["attention_mask"] = (np.arange(size) < lengths[:, None]).astype(np.int64)
    owners: Any = None
    if len(windows) > len(rows):
        owners = np.repeat(np.arange(len(rows)), [len(row["windows"]) for row in rows])
    ids: Any = np.array([row["sample_id"] for row in rows], np.int64)
    return Batch(inputs, ids, windows=owners, lengths=lengths)
