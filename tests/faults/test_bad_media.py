"""Images and sounds as they come: handled, skipped and counted, or named in one line."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import cases
from tests.cases import Case
from tests.cli import Done, run_cli
from tests.faults.bad_media import BAD_IMAGES, BAD_SOUNDS, ODD_IMAGES, ODD_SOUNDS
from zoo.train.reporting.progress_bar import RunLogger

BAD = {"vision": BAD_IMAGES, "sound": BAD_SOUNDS}
ODD = {"vision": ODD_IMAGES, "sound": ODD_SOUNDS}
SPLITS = {"train": 12, "validation": 6, "test": 6}  # files of a label
BRIEF = ("--max_steps", 1)


@dataclass(frozen=True)
class Trained:
    """A checkpoint of a case, whose training data are all good."""

    case: Case
    folder: Path


@pytest.fixture(scope="module")
def kept() -> dict[str, Trained]:
    """The checkpoints made so far, by case."""
    return {}


@pytest.fixture(params=["vision", "sound"])
def trained(
    request: pytest.FixtureRequest,
    kept: dict[str, Trained],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    """A checkpoint of each case that needs no transcription."""
    if request.param not in kept:
        case = cases.made(request, request.param)
        folder = tmp_path_factory.mktemp("trained") / "run"
        case.finetune(folder, *BRIEF)
        kept[request.param] = Trained(case, folder)
    return kept[request.param]


def _data(case: Case, folder: Path) -> Path:
    """A smaller copy of a case's data, whose train has 36 files of 3 labels."""
    for split, most in SPLITS.items():
        for label in sorted((case.data / split).iterdir()):
            (folder / split / label.name).mkdir(parents=True)
            for file in sorted(label.iterdir())[:most]:
                shutil.copy(file, folder / split / label.name)
    return folder


def _label(data: Path, split: str = "train") -> Path:
    return min((data / split).iterdir())


def _finetune(case: Case, data: Path, folder: Path, *flags: object) -> Done:
    return run_cli(case.module, *case.arguments(folder, "--data", data, *flags))


def _one_line(done: Done, case: Case, *parts: object) -> None:
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert done.err.startswith(case.module.rpartition(".")[2] + ": ")
    for part in parts:
        assert str(part) in done.err


def _spoil(case: Case, folder: Path) -> list[str]:
    """Writes every bad file of a case, and says what must be said of each."""
    for name, write, _ in BAD[case.name].values():
        write(folder / name)
    return [f"{folder / name}: {said}" for name, _, said in BAD[case.name].values()]


def test_bad_files_stop_training(trained: Trained, tmp_path: Path) -> None:
    data = _data(trained.case, tmp_path / "data")
    said = _spoil(trained.case, _label(data))
    done = _finetune(trained.case, data, tmp_path / "run", *BRIEF)
    count = f"{len(said)} of {36 + len(said)} files cannot be used"
    _one_line(done, trained.case, count, *said, "pass --on_bad_file skip")
    assert not (tmp_path / "run").exists()


def test_bad_files_are_skipped_and_counted(trained: Trained, tmp_path: Path) -> None:
    data = _data(trained.case, tmp_path / "data")
    said = _spoil(trained.case, _label(data))
    done = _finetune(trained.case, data, tmp_path / "run", "--on_bad_file", "skip", *BRIEF)
    assert done.code == 0 and "Traceback" not in done.err, done.err
    (line,) = (line for line in done.err.splitlines() if "cannot be used" in line)
    assert line.startswith(f"warning: {len(said)} of {36 + len(said)} files cannot be used")
    assert all(part in line for part in said) and line.endswith("left out"), line
    assert "36 train" in done.err


def test_bad_files_in_evaluation(trained: Trained, tmp_path: Path) -> None:
    data = _data(trained.case, tmp_path / "data")
    said = _spoil(trained.case, _label(data, "test"))
    command = ("evaluate", trained.folder, "--data", data)
    count = f"{len(said)} of {18 + len(said)} files cannot be used"
    done = run_cli(trained.case.module, *command)
    _one_line(done, trained.case, count, *said, "pass --on_bad_file skip")
    done = run_cli(trained.case.module, *command, "--on_bad_file", "skip")
    assert done.code == 0 and done.err.startswith(f"warning: {count}"), done.err
    assert len(done.err.splitlines()) == 1 and " 18 " in done.out


def test_bad_files_to_predict_on(trained: Trained, tmp_path: Path) -> None:
    case = trained.case
    good = next(_label(case.data).iterdir())
    for name, write, said in BAD[case.name].values():
        write(tmp_path / name)
        command = ("predict", trained.folder, case.input_flag, good, tmp_path / name, good)
        if "longer" in said:  # what is too long to train on is heard in windows
            done = run_cli(case.module, *command)
            assert done.code == 0 and len(done.lines) == 3 and not done.err, done.err
            continue
        _one_line(run_cli(case.module, *command), case, tmp_path / name, said, "skip")
        done = run_cli(case.module, *command, "--on_bad_file", "skip")
        assert done.code == 0 and len(done.lines) == 2, done.err
        (line,) = done.err.splitlines()
        assert name in line and said in line and line.endswith("skipped")


def test_odd_files_are_handled(trained: Trained, tmp_path: Path) -> None:
    case = trained.case
    data = _data(case, tmp_path / "data")
    deep = _label(data).joinpath(*["folder" * 30] * 4)  # a path of 700 characters and more
    deep.mkdir(parents=True)
    odd = ODD[case.name]
    for name, write in odd.items():
        write(tmp_path / name)  # libsndfile writes to no path as long as that
        (tmp_path / name).rename(deep / name)
    done = _finetune(case, data, tmp_path / "run", *BRIEF)
    assert done.code == 0 and f"{36 + len(odd)} train" in done.err, done.err
    assert "cannot be used" not in done.err and "Traceback" not in done.err
    done = run_cli(case.module, "predict", trained.folder, case.input_flag, deep)
    assert done.code == 0 and done.err == "", done.err
    key = case.input_flag.removeprefix("--")
    assert {Path(json.loads(line)[key]).name for line in done.lines} == set(odd)


def test_an_empty_label_folder(trained: Trained, tmp_path: Path) -> None:
    data = _data(trained.case, tmp_path / "data")
    (data / "train" / "nobody").mkdir()
    done = _finetune(trained.case, data, tmp_path / "run", *BRIEF)
    _one_line(done, trained.case, "'nobody'", data, "remove it")


def test_no_file_is_good(trained: Trained, tmp_path: Path) -> None:
    data = _data(trained.case, tmp_path / "data")
    for file in (data / "train").rglob("*.*"):
        file.write_bytes(b"")
    done = _finetune(trained.case, data, tmp_path / "run", "--on_bad_file", "skip")
    _one_line(done, trained.case, "none of 36 files can be used", "empty: 0 bytes")


@pytest.fixture
def speech(request: pytest.FixtureRequest) -> Case:
    """The case with transcriptions."""
    return cases.made(request, "speech")


def test_missing_transcriptions(speech: Case, tmp_path: Path) -> None:
    data = Path(shutil.copytree(speech.data, tmp_path / "data"))
    for listing in data.rglob("metadata.csv"):
        listing.unlink()
    _one_line(_finetune(speech, data, tmp_path / "run"), speech, data, "metadata.csv")


def test_a_listed_file_that_is_not_there(speech: Case, tmp_path: Path) -> None:
    data = Path(shutil.copytree(speech.data, tmp_path / "data"))
    (data / "train" / "003.wav").unlink()
    done = _finetune(speech, data, tmp_path / "run")
    _one_line(done, speech, "metadata.csv", "line 5", "003.wav")


def test_a_listing_without_transcriptions(speech: Case, tmp_path: Path) -> None:
    data = Path(shutil.copytree(speech.data, tmp_path / "data"))
    for listing in data.rglob("metadata.csv"):
        listing.write_text(listing.read_text().replace("transcription", "said"))
    done = _finetune(speech, data, tmp_path / "run")
    _one_line(done, speech, "no transcription column", "media, said")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_deleted_during_training(
    trained: Trained, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all fits into memory nobody notices; else it is named, and the state stays."""
    from tasks.media import decoding

    case = trained.case
    data = _data(case, tmp_path / "data")
    gone = min(_label(data).iterdir())
    own = RunLogger.samples

    def samples(self, number, place, ids) -> None:
        own(self, number, place, ids)
        if number == 0 and gone.exists():
            gone.rename(tmp_path / "away")

    monkeypatch.setattr(RunLogger, "samples", samples)
    flags = ("--num_train_epochs", 2, "--save_steps", 1, "--dataloader_num_workers", workers)
    assert _finetune(case, data, tmp_path / "held", *flags).code == 0
    shutil.move(tmp_path / "away", gone)
    monkeypatch.setitem(decoding.decode_split.__kwdefaults__, "memory_limit", 1000)
    done = _finetune(case, data, tmp_path / "run", *flags)
    assert done.code == 2 and "Traceback" not in done.err, done.err
    last = done.err.splitlines()[-1]
    assert last.startswith(case.module.rpartition(".")[2]) and str(gone) in last, last
    assert "cannot be any more" in last
    assert list((tmp_path / "run" / "state").glob("step-*"))
