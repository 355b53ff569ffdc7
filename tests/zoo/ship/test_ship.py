"""The verb ship: its steps in their order, what each says, and how it goes on."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.decide import search
from tests.cli import Done, run_cli, run_process
from zoo.cli.args import ShipArgs
from zoo.deploy import winner
from zoo.deploy.winner import Winner
from zoo.ship import deciding, ship, training
from zoo.ship.clock import Clock
from zoo.ship.programs import Ended, Running, Step
from zoo.ship.record import Record
from zoo.store import evidence


@dataclasses.dataclass
class Programs:
    """Stands for the programs: leaves in the folder what each would."""

    checkpoint: Path
    accuracy: tuple[float, float, float] = (0.9, 0.8, 0.95)
    decided: Ended = dataclasses.field(default_factory=lambda: Ended(0, "", 1.0))
    trained: Ended = dataclasses.field(default_factory=lambda: Ended(0, "", 1.0))
    stop_at: str = ""
    steps: list[Step] = dataclasses.field(default_factory=list)

    def run(
        self, step: Step, printed: Path, look: Callable[[Running], None] | None = None
    ) -> Ended:
        self.steps.append(step)
        verb = step.words[0]
        if verb == self.stop_at:
            raise KeyboardInterrupt
        if verb == "finetune":
            return self._train(Path(step.words[-1]))
        if verb == "decide":
            return self._decide(Path(step.words[1]))
        (Path(verb) / "README.md").write_text("a card")
        return Ended(0, "", 1.0)

    def _train(self, folder: Path) -> Ended:
        if self.trained.code:
            return self.trained
        shutil.copytree(self.checkpoint, folder, dirs_exist_ok=True)
        (folder / evidence.FILE).unlink(missing_ok=True)
        record = {"step": 9, "split": "validation", "epoch": 1.0, "accuracy": 0.91}
        (folder / "logs" / "metrics.jsonl").write_text(json.dumps(record) + "\n")
        value, low, high = self.accuracy
        common: dict[str, Any] = {"subject": evidence.subject_digest(folder), "run": "r", "n": 90}
        common |= {"split": "test", "deployment": "eager"}
        ends = {"low": low, "high": high, "level": 0.95, "method": "wilson"}
        facts = [
            evidence.fact("metric", "accuracy", value, "1", interval=ends, **common),
            evidence.fact("constant", "constant_accuracy", 0.5, "1", label="red", **common),
        ]
        evidence.append(folder, facts)
        return self.trained

    def _decide(self, folder: Path) -> Ended:
        if not self.decided.code:
            source = evidence.subject_digest(folder)
            found = Winner("eager+bf16", source, source, "cpu", 2, {"batch": 1}, 0.004, p95_s=0.005)
            winner.record(folder, found)
        return self.decided

    @property
    def verbs(self) -> list[str]:
        return [step.words[0] if step.module != "tools.cards" else "card" for step in self.steps]


@pytest.fixture
def programs(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs(checkpoint)
    for module in (training, deciding, ship):
        monkeypatch.setattr(module, "run", made.run)
    return made


def shipped(data: Path, output: Path, *more: object) -> Done:
    return run_cli("zoo", "ship", data, "--output_dir", output, *more)


def test_each_choice_has_its_line_and_its_command(
    programs: Programs, images: Path, tmp_path: Path
) -> None:
    output = tmp_path / "my pets"
    done = shipped(images, output, "--minutes", 2, "--p95_ms", 20, "--max_drop", 0.01)
    assert done.code == 0, done.err
    assert programs.verbs == ["finetune", "decide", "card"]
    for step in programs.steps:
        assert str(step) in done.out and f"'{output}'" in str(step)
    train, decide, _ = programs.steps
    assert train.words[:4] == ("finetune", "cnn_cls", "--data", str(images))
    assert "--minutes" in train.words and "--resume" in train.words
    assert decide.words[6:8] == ("--p95_ms", "20") and decide.words[-1] == "--export"
    topics = [line.split()[0] for line in done.lines if not line.startswith(" ")]
    assert topics == ["data", "model", "training", "worth", "deployment", "card", "ready"]
    assert "accuracy 0.9100 on validation" in done.out
    assert "always 'red' gives 0.5000" in done.out and "used, " in done.out
    assert "eager+bf16: 4.00 ms a call of batch 1 (p95 5.00 ms)" in done.out
    assert done.lines[-1].strip() == f"python -m zoo serve '{output}'"


def test_the_same_command_again_does_nothing_twice(
    programs: Programs, images: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    programs.trained = Ended(0, "9 steps fit into --minutes, as one takes 2 s\n", 1.0)
    done = shipped(images, output)
    assert done.code == 0 and "9 steps fit into --minutes" in done.out
    programs.steps.clear()
    done = shipped(images, output)
    assert done.code == 0 and not programs.steps
    assert "training, deployment, card is done" in done.out and "eager+bf16" in done.out
    assert shipped(images, output, "--max_drop", 0.1).code == 0
    assert programs.verbs == ["decide", "card"], "other limits are decided anew"
    programs.steps.clear()
    assert shipped(images, output, "--max_drop", 0.1, "--minutes", 20).code == 0
    assert programs.verbs == ["finetune"], "with more minutes it is trained on"
    programs.trained = Ended(0, "", 1.0)
    assert shipped(images, output, "--max_drop", 0.1, "--minutes", 30).code == 0
    programs.steps.clear()
    assert shipped(images, output, "--max_drop", 0.1, "--minutes", 40).code == 0
    assert not programs.steps, "it had all its epochs"


def test_more_minutes_read_the_same_rows(programs: Programs, tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    for split, count in (("train", 40), ("test", 900)):
        rows = "".join(f"a film {i},{'ab'[i % 2]}\n" for i in range(count))
        (data / f"{split}.csv").write_text(f"text,label\n{rows}")
    words = (data, output, "--model", "rnn_cls")
    done = shipped(*words, "--minutes", 2)
    assert done.code == 0 and "600 test" in done.out, done.err
    done = shipped(*words, "--minutes", 20)
    assert done.code == 0 and "600 test" in done.out and "as before" in done.out, done.err
    done = shipped(*words, "--minutes", 20, "--max_eval_samples", 700)
    assert done.code == 2 and "begun with limits" in done.err


def test_a_model_of_tables_leaves_texts_out(programs: Programs, tmp_path: Path) -> None:
    path = tmp_path / "visits.csv"
    rows = "".join(f"a remark that nobody repeats {i},{i % 7},{'ab'[i % 2]}\n" for i in range(40))
    path.write_text(f"text,guests,label\n{rows}")
    done = shipped(path, tmp_path / "run", "--model", "mlp_tab")
    assert done.code == 0 and "rows of a table with one of 2 labels (a, b)" in done.out, done.err
    assert "not read are text, " in done.err and programs.steps[0].words[1] == "mlp_tab"


@pytest.mark.parametrize("stop_at", ["finetune", "decide"])
def test_it_goes_on_where_it_was_stopped(
    programs: Programs, images: Path, tmp_path: Path, stop_at: str
) -> None:
    output = tmp_path / "run"
    programs.stop_at = stop_at
    assert shipped(images, output).code == 130
    programs.stop_at, programs.steps = "", []
    done = shipped(images, output)
    assert done.code == 0, done.err
    every = ["finetune", "decide", "card"]
    assert programs.verbs == every[every.index(stop_at) :]


def test_other_data_in_the_same_folder(
    programs: Programs, images: Path, reviews: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    assert shipped(images, output).code == 0
    done = shipped(images, output, "--seed", 7)
    assert done.code == 2 and "begun with seed 42, and now it is 7" in done.err
    done = shipped(reviews, output)
    assert done.code == 2 and "--output_dir" in done.err and done.err.count("\n") == 1


def test_what_is_worth_nothing_is_not_shipped(
    programs: Programs, images: Path, tmp_path: Path
) -> None:
    programs.accuracy = (0.55, 0.45, 0.65)
    done = shipped(images, tmp_path / "run", "--serve")
    assert done.code == 1 and programs.verbs == ["finetune"]
    assert "not shipped: accuracy 0.5500" in done.err and "no better than always 'red'" in done.err


def _ended(code: int, last: str) -> Ended:
    return Ended(code, f"a table\nbench: {last}\n", 1.0)


@pytest.mark.parametrize(
    ("decided", "code", "said"),
    [
        (_ended(1, "none of them meets what was asked for"), 1, "ease a limit"),
        (_ended(2, "too short: it takes 3.5 minutes at least: give more"), 1, "give --minutes 20"),
        (_ended(1, "2 minutes did not suffice: name fewer --deployments"), 1, "give --minutes 20"),
        (_ended(130, "stopped; the best so far: none"), 1, "give --minutes 20"),
        (_ended(-9, "killed"), 2, "stopped by a signal: the same command goes on"),
    ],
)
def test_no_deployment(
    programs: Programs, images: Path, tmp_path: Path, decided: Ended, code: int, said: str
) -> None:
    programs.decided = decided
    done = shipped(images, tmp_path / "run")
    assert done.code == code and said in done.err and done.err.count("\n") == 1, done.err
    assert winner.read(tmp_path / "run") is None


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        (_ended(2, "the data is wrong"), "training: the data is wrong"),
        (_ended(143, ""), "stopped by a signal"),
    ],
)
def test_training_that_fails(
    programs: Programs, images: Path, tmp_path: Path, trained: Ended, said: str
) -> None:
    programs.trained = trained
    done = shipped(images, tmp_path / "run")
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1


def test_each_evaluation_is_told_once(tmp_path: Path) -> None:
    """Also where the log was written anew, as by a training that goes on from an earlier state."""
    log, said = tmp_path / "metrics.jsonl", list[str]()
    clock, record = Clock(2), Record(tmp_path / "run", spent=1e9)
    watch = training.Watch(tmp_path, "wer", record, clock, lambda topic, text: said.append(text))

    def write(*steps: int, torn: str = "") -> None:
        lines = [{"step": s, "epoch": s / 4, "split": "validation", "wer": 0.5} for s in steps]
        rows = [{"step": 1, "epoch": 0.25, "split": "train", "loss": 2.0}, *lines]
        log.write_text("".join(json.dumps(row) + "\n" for row in rows) + torn)
        watch()

    watch()
    write(2, 4, torn='{"step": 6, "split": "validation", "we')
    write(2)
    write(2, 4, 6)
    assert said == [f"epoch {e}: wer 0.5000 on validation" for e in ("0.5", "1", "1.5")]


def test_it_becomes_the_service(
    programs: Programs, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []

    def execv(program: str, words: list[str]) -> None:
        became.append(words[1:])
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", execv)
    assert shipped(images, tmp_path / "run", "--serve", "--port", 9000).code == 0
    assert became == [["-m", "zoo", "serve", str(tmp_path / "run"), "--port", "9000"]]


@pytest.mark.slow
def test_pictures_to_a_service(tmp_path: Path) -> None:
    """All of it with the programs themselves, in three minutes."""
    from PIL import Image
    from sklearn.datasets import load_digits

    photos = tmp_path / "my photos"
    for number, (pixels, label) in enumerate(zip(*load_digits(return_X_y=True), strict=True)):
        folder = photos / ("even" if label % 2 == 0 else "奇数")
        folder.mkdir(parents=True, exist_ok=True)
        image = (pixels.reshape(8, 8) * 15).astype("uint8")
        Image.fromarray(image).save(folder / f"{number}.png")
    output = tmp_path / "run"
    words = ("ship", photos, "--output_dir", output, "--minutes", 3, "--max_drop", 0.05)
    done = run_process("zoo", *words, timeout=400)
    assert done.code == 0, done.err
    assert "one of 2 labels (even, 奇数)" in done.out
    found = winner.read(output)
    assert found is not None and found.lost is not None and found.lost <= 0.05
    assert (output / "README.md").is_file() and "奇数" in (output / "README.md").read_text()
    again = run_process("zoo", *words, timeout=100)
    assert again.code == 0 and "training, deployment, card is done" in again.out
    said = run_process("zoo", "verify", output, timeout=200)
    assert said.code == 0, said.out


def test_a_training_that_is_killed_at_once_is_gone_on_with(
    programs: Programs, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 leaves no time to write a record."""
    output = tmp_path / "run"
    with monkeypatch.context() as patch:

        def killed(step: Step, *_: Any) -> Ended:
            (output / "state").mkdir()
            patch.setattr(Record, "save", lambda record, spent: None)
            raise KeyboardInterrupt

        patch.setattr(training, "run", killed)
        assert shipped(images, output).code == 130
    done = shipped(images, output)
    assert done.code == 0 and "goes on in" in done.out, done.err


def test_data_that_were_mended_are_taken(programs: Programs, tmp_path: Path) -> None:
    data, output = tmp_path / "films.csv", tmp_path / "run"
    programs.trained = _ended(2, "train has classes that ...")
    for more in ("", "the film was,good\n"):
        rows = "".join(f"a film {i},{('good', 'bad')[i % 2]}\n" for i in range(40))
        data.write_text(f"text,label\n{rows}{more}")
        done = shipped(data, output, "--model", "rnn_cls")
        assert done.code == 2 and "train has classes" in done.err
    assert programs.verbs == ["finetune", "finetune"]


def test_the_run_lies_outside_of_the_data(images: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(images, data)
    done = shipped(data, data / "runs" / "one")
    assert done.code == 2 and "lies inside of the data" in done.err and done.err.count("\n") == 1
    assert not (data / "runs").exists()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("my films.csv", "my films"),
        ("photos.v2", "photos.v2"),
        ("org/set-1.5", "set-1.5"),
        (".", "here"),
        ("photos.v2/..", "here"),
    ],
)
def test_what_a_run_is_called(
    data: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "photos.v2").mkdir(parents=True)
    (here / "my films.csv").write_text("")
    monkeypatch.chdir(here)
    assert ship._name(ShipArgs(data)) == name


def test_a_winner_stays_until_a_search_begins(
    programs: Programs, images: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    assert shipped(images, output, "--minutes", 2).code == 0
    record = Record.open(output)
    record.save(119)
    done = shipped(images, output, "--minutes", 2, "--p95_ms", 1)
    assert done.code == 1 and "too few to prove a deployment" in done.err
    assert winner.read(output) is not None


def test_a_search_that_does_not_end_is_ended(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    clock, asked = Clock(4, clock=lambda: now), list[str]()

    class Hangs:
        def interrupt(self) -> None:
            asked.append("interrupt")

        def stop(self) -> None:
            asked.append("stop")

    def run(step: Step, printed: Path, look: Callable[[Any], None]) -> Ended:
        nonlocal now
        for moment in (10.0, 250.0, 400.0):
            now = moment
            look(Hangs())
        return Ended(-9, "", now)

    monkeypatch.setattr(deciding, "run", run)
    record = Record(tmp_path / "run", spent=1e9)
    args = ShipArgs(str(images))
    with pytest.raises(deciding.NotShipped, match="no deployment was found in the time"):
        deciding.decide(args, None, record, clock, lambda *_: None)
    assert asked == ["interrupt", "interrupt", "stop"]


def test_eager_that_wins_for_want_of_others_is_told(
    programs: Programs, images: Path, tmp_path: Path
) -> None:
    programs.decided = Ended(0, "no other deployment is left: eager fp32 wins\nwinner: eager\n", 1)
    done = shipped(images, tmp_path / "run")
    assert done.code == 0 and "no other deployment is left: eager fp32 wins" in done.out


def test_what_the_search_says_is_understood() -> None:
    """`bench` can't be imported from here, so its sentences are held by this."""
    text = Path(search.__file__).read_text()
    assert deciding.TOO_LITTLE in text and search.ALONE.startswith(deciding.SHOWN)
    assert "it takes {Deadline.enough(least)} minutes at " in text
