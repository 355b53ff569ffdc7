"""Files that list classes: every form that is read, and one line for what is wrong in them."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tasks.errors import UserError
from tasks.vision import class_table
from tasks.vision.class_table import ClassTable

COLOURS = ((0, 0, 0), (255, 128, 0))


@pytest.mark.parametrize(
    ("name", "content", "coloured"),
    [
        ("classes.txt", "road\n天空\n", False),
        ("classes.txt", "\ufeffroad\r\n天空\r\n\r\n", False),
        ("classes.csv", "road,#000000\n天空,#ff8000\n", True),
        ("classes.csv", "road,0,0,0\n天空,255,128,0\n", True),
        ("class_dict.csv", "name, r, g, b\nroad,0,0,0\n天空,255,128,0\n", True),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nroad:0,0,0::\n天空:255,128,0::\n", True),
        ("classes.json", '["road", "天空"]', False),
        ("classes.json", '{"road": "black", "天空": [255, 128, 0]}', True),
        ("id2label.json", '{"1": "天空", "0": "road"}', False),
        (
            "c.json",
            '[{"name": "road", "color": "#000"}, {"name": "天空", "color": "#ff8000"}]',
            True,
        ),
    ],
)
def test_every_form_gives_the_same_classes(
    tmp_path: Path, name: str, content: str, coloured: bool
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    found = class_table.read(path)
    assert found.names == ("road", "天空")
    assert found.values == (0, 1)
    assert found.colours == (COLOURS if coloured else ())


def test_values_may_have_gaps_and_a_colour_may_be_ignored(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_text("value,name,colour\n7,road,#804080\n,ignore,#e0e0c0\n24,person,#dc143c\n")
    found = class_table.read(path)
    assert (found.names, found.values) == (("road", "person"), (7, 24))
    assert found.ignored == ((224, 224, 192),)


@pytest.mark.parametrize(
    ("content", "names", "values"),
    [
        ("name\nroad\nsky\n", ("road", "sky"), (0, 1)),
        (",name\n0,road\n1,sky\n", ("road", "sky"), (0, 1)),
        ("name;value\nroad;2\nsky;1\n", ("road", "sky"), (2, 1)),
        ("id\tname\n2\troad\n1\tsky\n", ("road", "sky"), (2, 1)),
        ("2\troad\n1\tsky\n", ("road", "sky"), (2, 1)),
        ("2 road\n1 天空\n", ("road", "天空"), (2, 1)),
        ("2: road\n1: sky\n", ("road", "sky"), (2, 1)),
        ("2,road\n1,red\n", ("road", "red"), (2, 1)),
        ("1 euro\n2 euro\n", ("1 euro", "2 euro"), (0, 1)),
        ("wall;partition\nsky;clouds\n", ("wall;partition", "sky;clouds"), (0, 1)),
    ],
)
def test_a_header_is_no_class_and_a_number_before_a_name_its_value(
    tmp_path: Path, content: str, names: tuple[str, ...], values: tuple[int, ...]
) -> None:
    path = tmp_path / "classes.csv"
    path.write_text(content, encoding="utf-8")
    found = class_table.read(path)
    assert (found.names, found.values, found.colours) == (names, values, ())


@pytest.mark.parametrize("content", ["ignore\ncat\ndog\n", "name,value\ndog,2\nignore,0\ncat,1\n"])
def test_what_is_ignored_keeps_its_number(tmp_path: Path, content: str) -> None:
    path = tmp_path / "classes.csv"
    path.write_text(content)
    found = class_table.read(path)
    assert dict(zip(found.names, found.values, strict=True)) == {"cat": 1, "dog": 2}
    assert found.ignored_values == (0,)


def test_a_record_gives_the_same_classes() -> None:
    table = ClassTable(("a", "b"), (3, 1), COLOURS, ((1, 2, 3),), (0,))
    assert class_table.of_record(json.loads(json.dumps(asdict(table)))) == table


def test_classes_of_other_data_are_found_by_name() -> None:
    trained = ClassTable(("ground", "cat", "dog"), (0, 1, 2))
    other = ClassTable(("dog", "cat"), (7, 1))
    assert class_table.places_of(other, trained, "b.txt") == (2, 1)
    with pytest.raises(UserError, match=r"b.txt lists the class 'cow', .* trained for ground, cat"):
        class_table.places_of(ClassTable(("cow",), (0,)), trained, "b.txt")


def test_classes_without_names_are_found_by_value() -> None:
    trained = class_table.of_values((0, 4, 9))
    assert class_table.places_of(ClassTable(("cat", "dog"), (9, 4)), trained, "b.txt") == (2, 1)
    with pytest.raises(UserError, match="lists the class 'cow'"):
        class_table.places_of(ClassTable(("cow",), (5,)), trained, "b.txt")


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("c.txt", "road\nsky\nroad\n", r"c.txt, line 3, has the name 'road'"),
        ("c.csv", "road,#000000\nsky,#000000\n", r"line 2, has the colour \(0, 0, 0\)"),
        ("c.csv", "road,#000000\nsky\n", r"line 2, has no colour, as 'road' has"),
        ("c.csv", "road,nothing\n", r"line 1, has 'nothing' for a colour"),
        ("c.csv", "road,300,0,0\n", r"line 1, has '300,0,0' for a colour"),
        ("c.csv", "name,value\nroad,-1\n", r"line 2, has the value '-1'"),
        ("c.csv", "name,value\nroad,3\nsky,3\n", r"line 3, has the value 3"),
        ("c.txt", "\n", "lists no classes"),
        ("c.txt", "\n".join(map(str, range(300))), "lists 300 classes: at most 255"),
        ("c.json", "{", "is not valid JSON"),
        ("c.json", "3", "neither a list"),
        ("c.json", '[{"colour": "red"}]', "entry 1, names no class"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, name: str, content: str, fault: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=fault):
        class_table.read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        class_table.read(tmp_path / "none.txt")


def test_the_palette_is_pascal_vocs() -> None:
    # aeroplane, bicycle, bird and tvmonitor, as its masks have them
    colours = class_table.palette(21)
    assert colours[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert colours[20] == (0, 64, 128)
