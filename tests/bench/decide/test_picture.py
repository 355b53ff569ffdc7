"""The picture of the front is written where the user named it, whatever is there."""

from pathlib import Path

import pytest

from bench.decide import picture
from bench.decide.pareto import Limits, OptionCost
from tasks.errors import UserError
from zoo.measure import Estimate, Interval

POINTS = [
    OptionCost(
        name, 0.0, Estimate(seconds, Interval(seconds, seconds, 0.99, "made up"), 9), None, 1.0, 1e6
    )
    for name, seconds in (("eager", 2e-3), ("onnx", 1e-3))
]


@pytest.mark.parametrize(
    ("name", "begins"), [("a.PNG", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")]
)
def test_a_link_stays(name: str, begins: bytes, tmp_path: Path) -> None:
    link, target = tmp_path / name, tmp_path / "target"
    target.write_text("old")
    link.symlink_to(target)
    picture.check(link)
    picture.draw(link, POINTS, POINTS, None, Limits(), "title")
    assert link.is_symlink() and target.read_bytes().startswith(begins)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "target"])


@pytest.mark.parametrize(
    ("name", "said"), [("a.txt", "one of .pdf, .png, .svg"), ("a", "one of"), ("d.png", "a folder")]
)
def test_what_can_not_be_written_is_said_before_all_is_measured(
    name: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "d.png").mkdir()
    with pytest.raises(UserError, match=said):
        picture.check(tmp_path / name)
