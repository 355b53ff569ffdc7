"""What a stream of speech costs: word errors, the time from a word's end to its text, and the share
of one core.

    python -m bench.experiments.live_speech --checkpoints runs/stream_ctc runs/conformer_ctc \\
        --output bench/results/live_speech.jsonl

The sounds are the embedded digit strings of the test split, whose words have known ends. Each is
heard three times, by one thread:

- whole, as `predict` hears a file: the word error rate offline;
- in packets, as they would come, with an end behind the last one: the word error rate of the
  stream, and whether its text is that of the whole;
- in packets, followed by `SILENCE_S` of silence, as a microphone would go on: a clock that counts
  the length of the sound, and the time that each packet took to compute where this is behind, says
  when each text came. A word of the reference that is right in the final text has a delay: from its
  end to the first text from which on its place in the text holds it. Words that are wrong have
  none. The real-time factor is the time that was computed, over the length of the sound.

A rate has a bootstrap interval over the sounds; one line of `--output` is the result of a
checkpoint and a seed (a round, in a process of its own), and is not measured again.
"""

import io
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from bench.cases import child
from bench.experiments import rounds, runs
from bench.experiments.runs import Result
from tasks.bounds import Bounds, Count, Seed
from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.machine import environment
from zoo.store import evidence

if TYPE_CHECKING:
    import numpy as np

    from tasks.metrics.intervals import MetricEstimate

NAME = "bench.experiments.live_speech"
SILENCE_S = 1.5
LONGEST_S = 3600.0  # of a checkpoint
WARM_UP = 3  # sounds that are heard before the clock counts


@dataclass(frozen=True, kw_only=True)
class Args(runs.Args):
    """The flags."""

    checkpoints: tuple[Path, ...]
    """folders of recognisers that were trained on the embedded speech"""
    seeds: tuple[Seed, ...] = (1,)
    """numbers of the rounds, each measured in a process of its own"""
    clips: Annotated[int, Bounds(1, 400)] = 100
    """sounds of the test split, from the first one on"""
    packet_ms: Count = 20
    """length of a packet"""
    deployment: str = "eager"
    """what runs the checkpoints"""


def compare(args: Args) -> None:
    """Measure what has no result yet, and print the table."""
    settings = {name: getattr(args, name) for name in ("clips", "packet_ms", "deployment")}
    settings |= {"commit": environment.commit()["commit"]}
    names = {
        str(folder): {"checkpoint": folder.name, "subject": evidence.subject_digest(folder)}
        for folder in map(_checkpoint, args.checkpoints)
    }
    results = []
    for seed in args.seeds:
        for folder, name in names.items():
            key = name | {"seed": seed}
            run = partial(_launch, args, folder)
            found = runs.complete(args.output, settings, [key], run, SHOWN)
            results += [one for one in found if key.items() <= one.items()]
    print_lines(*table(results).splitlines())


SHOWN = ("wer_offline", "wer_stream", "delay_p50_s", "delay_p95_s", "real_time_factor")


def _checkpoint(folder: Path) -> Path:
    from zoo.store.checkpoint import read_manifest

    read_manifest(folder)
    return folder


def _launch(args: Args, folder: str, key: Result) -> Result:
    kwargs = {
        "folder": folder,
        "clips": args.clips,
        "packet_s": args.packet_ms / 1000,
        "deployment": args.deployment,
    }
    target = f"{NAME}:{measure.__name__}"  # by `python -m`, its own module is "__main__"
    with rounds.failures_told(f"{folder}, seed {key['seed']}"):
        found: Result = child.call(target, kwargs, 1, timeout_s=LONGEST_S)
    return {
        **key,
        **found,
        "clips": args.clips,
        "packet_ms": args.packet_ms,
        "deployment": args.deployment,
        "machine": environment.machine(),
        "versions": environment.versions(),
        **environment.commit(),
    }


@dataclass(frozen=True)
class Sound:
    """A sound that is heard, and the words that are said in it."""

    wave: "np.ndarray"
    """float32 [samples]"""
    said: str
    word_ends: tuple[float, ...]
    """seconds"""


def measure(folder: str, clips: int, packet_s: float, deployment: str) -> Result:
    """In a process of its own, with one thread: hear sounds whole and as streams.

    Returns rates with their intervals, delays and times of computing in seconds.
    """
    from zoo.predict.pipeline import Predictor

    predictor = Predictor(folder, "cpu", deployment=deployment, threads=1)
    if not hasattr(predictor.task, "compared"):
        raise UserError(f"{folder} writes no text: give recognisers of speech")
    sounds = list(_sounds(clips))
    begin = time.perf_counter()
    rows = [{"array": sound.wave, "sampling_rate": _rate()} for sound in sounds]
    offline = [one["text"] for one in predictor.predict(rows, batch_size=8)]
    seconds_offline = time.perf_counter() - begin
    streamed, delays, computed, heard = [], [], 0.0, 0.0
    for place, sound in enumerate([*sounds[:WARM_UP], *sounds]):
        text, _, _ = stream(predictor, sound.wave, packet_s)
        live = _with_silence(sound.wave)
        _, texts, busy = stream(predictor, live, packet_s)
        if place < WARM_UP:
            continue
        streamed.append(text)
        delays += word_delays(sound, texts)
        computed, heard = computed + busy, heard + len(live) / _rate()
    truth = [predictor.task.compared(sound.said) for sound in sounds]
    wer = {name: _wer(texts, truth) for name, texts in (("o", offline), ("s", streamed))}
    return {
        "model": predictor.checkpoint.entry.name,
        "wer_offline": round(wer["o"].value, 4),
        "wer_offline_interval": [round(wer["o"].low, 4), round(wer["o"].high, 4)],
        "wer_stream": round(wer["s"].value, 4),
        "wer_stream_interval": [round(wer["s"].low, 4), round(wer["s"].high, 4)],
        "same_texts": sum(a == b for a, b in zip(offline, streamed, strict=True)),
        "n": len(sounds),
        "words": len(delays),
        "delay_p50_s": round(quantile(delays, 0.5), 3),
        "delay_p95_s": round(quantile(delays, 0.95), 3),
        "real_time_factor": round(computed / heard, 4),
        "real_time_factor_offline": round(
            seconds_offline / sum(len(s.wave) / _rate() for s in sounds), 4
        ),
        "sound_seconds": round(heard, 1),
    }


def _rate() -> int:
    from tasks.speech.embedded import spoken

    return spoken.RATE


def _sounds(clips: int) -> "list[Sound]":
    import soundfile

    from tasks.speech.embedded import spoken

    found = []
    for clip in spoken.digit_clips("test", clips):
        wave, _ = soundfile.read(io.BytesIO(clip.wav), dtype="float32")
        found.append(Sound(wave, clip.said, clip.word_ends))
    return found


def _with_silence(wave: "np.ndarray") -> "np.ndarray":
    import numpy as np

    return np.pad(wave, (0, round(SILENCE_S * _rate())))


Texts = list[tuple[float, list[str]]]
"""When a text came, in seconds of the sound, and its words."""


def stream(predictor: Any, wave: "np.ndarray", packet_s: float) -> tuple[str, Texts, float]:
    """Return the final text of a stream, all texts with their times, and the seconds that were
    computed."""
    from zoo.speech.streaming import SpeechStream

    listening, size = SpeechStream(predictor, _rate()), max(1, round(packet_s * _rate()))
    texts: Texts = []
    final: list[str] = []
    clock = busy = 0.0
    for start in range(0, len(wave) + size, size):  # behind the last packet comes the end
        packet = wave[start : start + size]
        arrived = min(start + size, len(wave)) / _rate()
        begin = time.perf_counter()
        parts = listening.push(packet) if len(packet) else listening.finish()
        taken = time.perf_counter() - begin
        busy += taken
        clock = max(clock, arrived) + taken
        for part in parts:
            words = part.text.split()
            texts.append((clock, [*final, *words]))
            if part.final:
                final += words
    return " ".join(final), texts, busy


def word_delays(sound: Sound, texts: Texts) -> list[float]:
    """Return the seconds from the end of each word to its text, for the words of a sound that are
    right in its final text; negative where a word was written before it ended."""
    final = texts[-1][1] if texts else []
    blocks = SequenceMatcher(None, sound.said.split(), final, autojunk=False).get_matching_blocks()
    found = []
    for block in blocks:
        for i in range(block.size):
            place, word = block.b + i, final[block.b + i]
            came = 0.0
            for when, words in reversed(texts):
                if words[place : place + 1] != [word]:
                    break
                came = when
            found.append(came - sound.word_ends[block.a + i])
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of values; nan of none."""
    if len(values) < 2:
        return values[0] if values else float("nan")
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[round(100 * share) - 1]


def _wer(texts: Sequence[str], truth: Sequence[str]) -> "MetricEstimate":
    import numpy as np

    from tasks.metrics.transcription import TranscriptionMetric

    accumulator = TranscriptionMetric()
    accumulator.update(np.arange(len(texts)), texts, truth)
    (wer,) = (one for one in accumulator.compute() if one.name == "wer")
    return wer


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with a line a result."""
    lines = [
        f"{'checkpoint':16}  {'word error, whole':>24}  {'as a stream':>24}  {'same texts':>10}  "
        f"{'delay p50':>9}  {'p95':>8}  {'words':>5}  {'real-time factor':>16}"
    ]
    for one in results:
        rates = [
            f"{one[f'wer_{name}']:.4f} ({one[f'wer_{name}_interval'][0]:.4f} to "
            f"{one[f'wer_{name}_interval'][1]:.4f})"
            for name in ("offline", "stream")
        ]
        same = f"{one['same_texts']} of {one['n']}"
        lines.append(
            f"{one['checkpoint']:16}  {rates[0]:>24}  {rates[1]:>24}  {same:>10}  "
            f"{one['delay_p50_s']:>7.3f} s  {one['delay_p95_s']:>6.3f} s  {one['words']:>5}  "
            f"{one['real_time_factor']:>16.4f}"
        )
    return "\n".join(lines)


main = partial(runs.main, NAME, __doc__, Args, compare)

if __name__ == "__main__":
    sys.exit(main())
