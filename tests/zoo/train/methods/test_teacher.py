"""Who may teach whom, through the command line, and what is recorded of it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import cases
from tests.cli import run_cli
from tests.finetuning import Run, lines
from zoo.store import evidence

SMALL = ("--widths", 8, "--image_size", 12)


@pytest.fixture(scope="module")
def vision(request: pytest.FixtureRequest) -> cases.Case:
    return cases.made(request, "vision")


@pytest.fixture(scope="module")
def teacher(vision: cases.Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained long enough to know better than its student."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    return vision.finetune(folder, "--max_steps", 15).folder


@pytest.fixture(scope="module")
def taught(vision: cases.Case, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A smaller network that it has taught."""
    folder = tmp_path_factory.mktemp("taught") / "run"
    return vision.finetune(folder, *SMALL, "--teacher", teacher, "--max_steps", 3)


def _refused(case: cases.Case, folder: Path, *flags: object) -> str:
    done = run_cli(case.module, *case.arguments(folder, "--max_steps", 2, *flags))
    assert done.code == 2, done.err
    assert not (folder / "zoo.json").exists()
    return done.err.splitlines()[-1]


def test_the_record(taught: Run, teacher: Path) -> None:
    facts = lines(taught.folder / "evidence.jsonl")
    theirs = evidence.subject_digest(teacher)
    ours = evidence.subject_digest(taught.folder)
    assert taught.manifest["teacher"] == {"model": "cnn_cls", "subject": theirs}
    both: dict[str, dict[str, Any]] = {theirs: {}, ours: {}}
    for fact in facts:
        both[fact["subject"]][fact["name"]] = fact
    for subject in (theirs, ours):
        accuracy = both[subject]["accuracy"]
        assert (accuracy["kind"], accuracy["split"], accuracy["n"]) == ("metric", "test", 40)
        assert accuracy["interval"]["level"] == 0.95
    assert len({fact["run"] for fact in facts}) == 1
    expected = {f["name"]: f["value"] for f in lines(teacher / "evidence.jsonl")}["accuracy"]
    assert both[theirs]["accuracy"]["value"] == expected  # as it was measured by itself
    ratio = both[ours]["parameters_to_teacher"]
    sizes = [both[s]["parameters"] for s in (ours, theirs)]
    assert ratio["value"] == sizes[0]["value"] / sizes[1]["value"] < 0.5
    assert ratio["baseline"] == sizes[1]["id"]


def test_what_is_shown(taught: Run) -> None:
    assert taught.done is not None
    said = taught.done.out
    assert "taught by cnn_cls" in said and "of the teacher's" in said
    assert "label_loss" in taught.done.err and "teacher_loss" in taught.done.err
    assert "hidden_loss" not in taught.done.err


def test_all_of_the_teacher_alone(vision: cases.Case, teacher: Path, tmp_path: Path) -> None:
    """With alpha 1 the labels count nothing."""
    still = ("--augment", "none", "--rotation", 0, "--noise", 0)
    run = vision.finetune(
        tmp_path / "run", *vision.exact, *still, "--teacher", teacher,
        "--distill_alpha", 1, "--max_steps", 1,
    )  # fmt: skip
    record = run.records("train")[0]
    assert record["loss"] == pytest.approx(record["teacher_loss"]) != record["label_loss"]


def test_a_text_encoder_is_followed_with_adapters_and_checkpointing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Layers have their names behind those of adapters, and are computed twice."""
    text = cases.made(request, "text")
    teacher = text.finetune(tmp_path / "teacher", "--max_steps", 2).folder
    flags = (*text.exact, "--teacher", teacher, "--distill_hidden", 1, "--max_steps", 2)
    lora = (*flags, "--tune", "lora", "--lora_dropout", 0)
    plain = text.finetune(tmp_path / "plain", *lora)
    again = text.finetune(tmp_path / "again", *lora, "--gradient_checkpointing")
    assert plain.losses == pytest.approx(again.losses, abs=1e-5)
    assert plain.records("train")[0]["hidden_loss"] > 0


def test_another_teacher_ends_a_run(
    vision: cases.Case, teacher: Path, taught: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(taught.folder, folder)
    for flags in (("--teacher", taught.folder), ()):
        argv = vision.arguments(folder, *SMALL, *flags, "--max_steps", 4, "--resume")
        done = run_cli(vision.module, *argv)
        assert done.code == 2 and "was begun with the teacher" in done.err.splitlines()[-1]
    argv = vision.arguments(folder, *SMALL, "--teacher", teacher, "--max_steps", 4, "--resume")
    assert run_cli(vision.module, *argv).code == 0


def test_who_may_not_teach(
    vision: cases.Case, teacher: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    text, sound, speech = (cases.made(request, name) for name in ("text", "sound", "speech"))
    asked = ("--teacher", teacher)
    run = tmp_path / "run"
    assert "is where the student goes" in _refused_there(vision, teacher, *asked)
    assert "--teacher: no checkpoint at" in _refused(vision, run, "--teacher", tmp_path / "no")
    assert "has learned image-classification" in _refused(text, run, *asked)
    assert "has learned image-classification" in _refused(speech, run, *asked)
    assert "reads its inputs in another way (size" in _refused(
        vision, run, "--image_size", 16, *asked
    )
    wide = ("--widths", 16, 16, *asked, "--distill_hidden", 1)
    assert "layer 1 puts out 16 x 12 x 12 and the teacher's 8 x" in _refused(vision, run, *wide)
    few = tmp_path / "few"
    shutil.copytree(vision.data, few)
    for split in ("train", "validation", "test"):
        (few / split / "ring").rename(few / split / "circle")
    other = cases.Case(**{**vars(vision), "data": few})
    assert "only one of both knows 'circle'" in _refused(other, run, *asked)
    fewer_mels = sound.finetune(tmp_path / "sound", "--num_mel_bins", 12, "--max_steps", 1).folder
    assert "reads its inputs in another way" in _refused(sound, run, "--teacher", fewer_mels)


def _refused_there(case: cases.Case, folder: Path, *flags: object) -> str:
    before = (folder / "zoo.json").read_bytes()
    done = run_cli(case.module, *case.arguments(folder, *flags))
    assert done.code == 2 and (folder / "zoo.json").read_bytes() == before
    return done.err.splitlines()[-1]


def test_other_tokens_and_longer_texts(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    text = cases.made(request, "text")
    own = ("--embedding_size", 8, "--hidden_size", 8, "--max_steps", 1)
    teacher = tmp_path / "teacher"
    rnn = cases.Case("rnn", "zoo.nlp.rnn_cls", text.data, ("--vocab_size", 300), "--text", ())
    rnn.finetune(teacher, *own, "--token_limit", 32)
    said = _refused(text, tmp_path / "run", "--teacher", teacher)
    assert "reads its inputs in another way (vocabulary: 300 entries against" in said
    said = _refused(rnn, tmp_path / "run", *own, "--token_limit", 64, "--teacher", teacher)
    assert "give the student --max_length 32" in said
    run = rnn.finetune(tmp_path / "run", *own, "--max_length", 32, "--teacher", teacher)
    assert run.manifest["teacher"]["model"] == "rnn_cls"


def test_what_can_not_be_taught(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Written texts are no frames; a number has no temperature."""
    from tasks.errors import UserError
    from tasks.nlp.text_classification import Args, TextClassification
    from tasks.speech.seq2seq_recognition import Seq2SeqRecognition
    from zoo.train.args import TrainArgs
    from zoo.train.methods.teacher import _same_targets

    task = Seq2SeqRecognition.__new__(Seq2SeqRecognition)
    with pytest.raises(UserError, match="classification and CTC"):
        _same_targets("--teacher x", task, task, TrainArgs(teacher="x"))
    number: Any = TextClassification(Args(), (), "regression")
    with pytest.raises(UserError, match="softens probabilities"):
        args = TrainArgs(teacher="x", distill_temperature=4.0)
        _same_targets("--teacher x", number, number, args)
    _same_targets("--teacher x", number, number, TrainArgs(teacher="x"))
