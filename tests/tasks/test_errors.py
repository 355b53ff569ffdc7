"""Errors of the user's: which setting they are about, and how it is spelled to whom."""

import copy

import pytest

from tasks.errors import UserError, did_you_mean, foreign, settings_typed, spelled
from tests.cli import run_cli
from zoo.train.args import TrainArgs


def test_an_error_knows_its_field_and_its_hint() -> None:
    error = UserError("`max_length` 600 is more than `token_limit`")
    assert (error.field, error.hint) == ("max_length", None)
    assert UserError("there is no folder x").field is None
    error = UserError("there is no model 'x'", "model", "give a folder, or `from_scratch`")
    assert (error.field, str(error)) == (
        "model",
        "there is no model 'x'; give a folder, or `from_scratch`",
    )
    assert UserError("a.png is no image", hint="`on_bad_file` skip goes on without").field is None


def test_a_copy_as_other_processes_get_it_is_the_same() -> None:
    error = copy.copy(UserError("`seed` x", "data", "at least 0"))
    assert (str(error), error.field, error.hint) == ("`seed` x; at least 0", "data", "at least 0")


def test_settings_are_spelled_for_who_reads_them() -> None:
    said = "lower `batch_size`, not `A b`, or `2x`"
    assert spelled(said) == said
    with settings_typed("--{}"):
        assert spelled(said) == "lower --batch_size, not `A b`, or `2x`"
    assert spelled(said) == said
    assert spelled(said, "{}=") == "lower batch_size=, not `A b`, or `2x`"


def test_what_is_quoted_or_of_others_names_no_setting() -> None:
    """A label of the data, and what a library says of its own arguments."""
    label = "`seed`"
    for said in (f"{label!r} is no label", f"no '{label}'", foreign("`dim` is out of range")):
        assert UserError(said).field is None
        assert spelled(said, "--{}") == said


def test_python_reads_a_field_and_the_command_line_a_flag() -> None:
    with pytest.raises(UserError, match=r"^`learning_rate` -1.0: at least") as told:
        TrainArgs(learning_rate=-1.0)
    assert told.value.field == "learning_rate"
    done = run_cli("zoo.vision.cnn_cls", "finetune", "--learning_rate", -1.0)
    assert done.code == 2 and done.err.startswith("cnn_cls: --learning_rate -1.0: at least")
    assert spelled("`learning_rate`") == "`learning_rate`", "the program has ended"


@pytest.mark.parametrize(("name", "hint"), [("evalaute", "did you mean evaluate?"), ("xyz", None)])
def test_the_nearest_name_is_a_hint(name: str, hint: str | None) -> None:
    assert did_you_mean(name, ("evaluate", "predict")) == hint
