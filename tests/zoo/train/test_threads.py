"""The number of threads of a training: chosen once, kept, and told."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune, lines
from zoo.train import threads
from zoo.train.args import TrainArgs
from zoo.train.resume import state as states
from zoo.train.resume.progress import Progress

SHORT = (*EXACT, "--lr_scheduler_type", "constant", "--eval_strategy", "no", "--max_steps")


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What PyTorch takes on two cores, where no variable says otherwise."""
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Machine:
    """Grants so many cores; a pass of a second is slower with more threads than it grants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: float, slower: float = 3.0) -> None:
        self.cores, self.slower, self.looks, self.timed = cores, slower, 0, 0
        monkeypatch.setattr(threads, "granted_cores", self.granted)
        monkeypatch.setattr(threads, "seconds_with", self.seconds)

    def granted(self, count: int, seconds: float) -> float:
        self.looks += 1
        return self.cores

    def seconds(self, numbers: tuple[int, int], work: Any) -> tuple[float, float]:
        self.timed += 1
        work()
        return self.slower, 1.0


def setup(device: str = "cpu", processes: int = 1, **changes: Any) -> Any:
    accelerator = SimpleNamespace(num_processes=processes)
    common = {"args": TrainArgs(), "begun": None, "device": torch.device(device)}
    return SimpleNamespace(**{**common, "accelerator": accelerator, **changes})


@pytest.mark.parametrize(
    ("cores", "slower", "chosen", "said"),
    [
        (1.95, 3.0, 2, None),  # as it should be: nothing is timed
        (1.1, 3.0, 1, "2 threads get 1.1 cores here: a pass takes 3 s with 2 and 1 s with 1"),
        (1.5, 0.9, 2, "so training has 2"),
        (1.5, 1.01, 2, "so training has 2"),  # as fast: what is usual stays
        (0.3, 3.0, 1, "so training has 1"),
    ],
)
def test_the_faster_number_is_taken(
    monkeypatch: pytest.MonkeyPatch, cores: float, slower: float, chosen: int, said: str | None
) -> None:
    machine, passes = Machine(monkeypatch, cores, slower), []
    line = threads.choose(setup(), lambda: passes.append(1))
    assert torch.get_num_threads() == chosen
    assert said in line if said and line else line is said
    assert machine.timed == len(passes) == int(said is not None)


@pytest.mark.parametrize(
    "known",
    [
        {"args": TrainArgs(threads=2)},
        {"begun": Progress()},
        {"device": torch.device("meta")},
        {"accelerator": SimpleNamespace(num_processes=2)},
    ],
)
def test_nothing_is_measured_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, Any]
) -> None:
    machine = Machine(monkeypatch, 0.5)
    assert threads.choose(setup(**known), lambda: None) is None
    assert (machine.looks, torch.get_num_threads()) == (0, 2)


@pytest.mark.parametrize("name", threads.VARIABLES)
def test_the_variables_are_kept_to(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    machine = Machine(monkeypatch, 0.5)
    monkeypatch.setenv(name, "2")
    assert threads.choose(setup(), lambda: None) is None and machine.looks == 0


def test_memory_that_runs_out_in_the_look_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "granted_cores", lambda count, seconds: 1.0)

    def work() -> None:
        raise MemoryError

    assert threads.choose(setup(), work) is None and torch.get_num_threads() == 2


def test_both_numbers_take_turns_and_stops_count() -> None:
    """A quota stops two threads in one of four passes; the first turn loads kernels."""
    now, used, passes = 0.0, 0, 0

    def use(number: int) -> None:
        nonlocal used
        used = number

    def work() -> None:
        nonlocal now, passes
        passes += 1
        now += 5.0 if passes <= 2 else {1: 0.03, 2: 0.02}[used]
        now += 0.1 if used == 2 and passes % 4 == 3 else 0.0

    long = threads.LONGEST_S
    first, second = threads.seconds_with((2, 1), work, lambda: now, use)
    assert now > long and passes == 2, "of a large network one turn tells"
    assert first == second == 5.0
    now, passes = 0.0, 100
    first, second = threads.seconds_with((2, 1), work, lambda: now, use)
    assert passes - 100 > 2 * threads.LEAST_TURNS and now < threads.LONGEST_S
    assert first > 0.03 > 0.02 and second == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("asked", "begun", "taken", "said"),
    [
        (None, None, 2, None),
        (1, None, 1, None),
        (None, 1, 1, "going on with 1 thread, as the run was begun; usual here: 2"),
        (None, 2, 2, None),
        (1, 2, 1, "from here on `threads` is 1, not 2: the last bits may differ"),
        (None, 4096, 2, "the run was begun with 4096 threads, here are 2"),
    ],
)
def test_what_is_known(asked: int | None, begun: int | None, taken: int, said: str | None) -> None:
    line = threads.take_known(asked, begun)
    assert torch.get_num_threads() == taken
    assert line is None if said is None else line is not None and line.startswith(said)


def test_a_run_that_goes_on_has_the_threads_it_was_begun_with(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Machine(monkeypatch, 1.1)
    whole = finetune(tiny_bert, reviews, tmp_path / "whole", *SHORT, 6)
    assert whole.done is not None and "so training has 1 (--threads sets it)" in whole.done.err
    assert torch.get_num_threads() == 2, "this process has what it had"
    folder = tmp_path / "run"
    finetune(tiny_bert, reviews, folder, *SHORT, 3)
    saved = states.read_progress(next((folder / "state").iterdir()))
    assert saved["threads"] == 1
    busy.cores, looks = 2.0, busy.looks
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, folder, *SHORT, 6, "--resume"))
    assert done.code == 0, done.err
    assert busy.looks == looks and "going on with 1 thread, as the run was begun" in done.err
    assert Run(folder).losses == whole.losses
    weights = "model.safetensors"
    assert (folder / weights).read_bytes() == (whole.folder / weights).read_bytes()
    assert {fact.get("threads") for fact in lines(folder / "evidence.jsonl")} <= {None, 1}


def test_the_flag(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    run = finetune(tiny_bert, reviews, tmp_path / "run", *SHORT, 2, "--threads", 1)
    facts = lines(run.folder / "evidence.jsonl")
    assert {fact["threads"] for fact in facts if fact["name"] == "train_seconds"} == {1}
    done = run_cli(MODEL, "finetune", "--threads", 0)
    assert done.code == 2 and "--threads 0" in done.err


def test_the_flag_of_what_uses_a_checkpoint(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finetune(tiny_bert, reviews, tmp_path / "run", *SHORT, 1, "--threads", 2).folder
    done = run_cli(MODEL, "evaluate", folder, "--threads", 1)
    assert done.code == 0, done.err
    assert lines(folder / "evidence.jsonl")[-1]["threads"] == 1
    assert torch.get_num_threads() == 2, "this process has what it had"
    done = run_cli(MODEL, "predict", folder, "--text", "fine", "--threads", 1)
    assert done.code == 0 and torch.get_num_threads() == 1
