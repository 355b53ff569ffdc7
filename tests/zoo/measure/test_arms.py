"""Arms: what is refused, and the environment of their processes."""

import json

import pytest

from zoo.measure.arms import Arm, ArmFailed


@pytest.mark.parametrize("target", ["", "module", "module:", ":function"])
def test_a_target_names_a_function(target: str) -> None:
    with pytest.raises(ValueError, match="not module:function"):
        Arm("a", target)


def test_what_json_cannot_say_is_refused() -> None:
    for value in (object(), float("nan"), {1, 2}):
        with pytest.raises(ValueError, match="nothing for JSON"):
            Arm("a", "m:f", {"x": value})
    with pytest.raises(ValueError, match="at least one thread"):
        Arm("a", "m:f", threads=0)


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MINE", "kept")
    assert Arm("a", "m:f").environment()["OMP_NUM_THREADS"] == "7"
    made = Arm("a", "m:f", threads=2, environ={"OMP_WAIT_POLICY": "ACTIVE"}).environment()
    assert (made["OMP_NUM_THREADS"], made["MKL_NUM_THREADS"], made["MINE"]) == ("2", "2", "kept")
    assert made["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_failure_is_plain_data() -> None:
    content = {"arm": "a", "status": "oom", "reason": "no memory"}
    assert json.loads(json.dumps(ArmFailed("a", "oom", "no memory").as_json())) == content
