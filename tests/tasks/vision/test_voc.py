"""Pascal VOC's XML: what is read, and what is refused before it is parsed."""

from pathlib import Path
from typing import Any

import pytest

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.vision import box_files
from tests.box_data import BOXES, found, images, voc_xml, write


def load(path: Path) -> Any:
    return box_files.load(DataArgs(data=str(path))).splits["train"]


def folder(root: Path, xml: str) -> Path:
    images(root / "JPEGImages", ["a"])
    write(root / "Annotations" / "a.xml", xml)
    return root


def test_what_is_difficult_is_a_crowd(tmp_path: Path) -> None:
    xml = voc_xml("a").replace("<difficult>0", "<difficult>1", 1)
    assert load(folder(tmp_path, xml))[0]["objects"]["iscrowd"] == [True, False]


def test_what_has_no_other_half_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path, voc_xml("a"))
    write(tmp_path / "Annotations" / "b.xml", voc_xml("b"))
    images(tmp_path / "JPEGImages", ["c"])
    assert found(load(tmp_path)) == {"a": BOXES["a"]}
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("warning: 1 annotations without their image, left out; the first is")
    assert told[1].startswith("warning: 1 images that no annotation names, left out")


def test_trainval_is_train_where_there_is_no_other(tmp_path: Path) -> None:
    folder(tmp_path, voc_xml("a"))
    write(tmp_path / "ImageSets" / "Main" / "trainval.txt", "a\n")
    assert found(load(tmp_path)) == {"a": BOXES["a"]}
    write(tmp_path / "ImageSets" / "Main" / "trainval.txt", "a\n\nz\n")
    with pytest.raises(UserError, match=r"trainval.txt, line 3 names z, of which there is no XML"):
        load(tmp_path)


BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("head", [BOMB, FILE, "<!DOCTYPE annotation>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused(head: str, encoding: str, tmp_path: Path) -> None:
    folder(tmp_path, "")
    text = (head + voc_xml("a")).replace(' version="1.0"', f' version="1.0" encoding="{encoding}"')
    (tmp_path / "Annotations" / "a.xml").write_bytes(text.encode(encoding))
    with pytest.raises(UserError, match="declares a document type or entities: remove its"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<xmin>6<", "<xmin>x<", "object 1: 'x' is not a number"),
        ("<xmin>6<", "<xmin>60<", "object 1: the box .* is reversed"),
        ("<xmin>6<", "<xmin>nan<", "object 1: the box .* is not finite"),
        ("<xmax>15<", "<xmax>150<", "object 1: the box .* lies outside of its image of 40 x 30"),
        ("<xmax>15</xmax>", "", "object 1 has no xmax in its bndbox"),
        ("<name>cat</name>", "", "object 1 has no name"),
        ("<width>40<", "<width>50<", "are of an image of 50 x 30, and .* has 40 x 30 pixels"),
        ("a.jpg", "../a.jpg", "it must be a path below"),
        ("</annotation>", "", "is no XML: no element found"),
        ("<annotation>", "&x;<annotation>", "is no XML"),
    ],
)
def test_what_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    xml = voc_xml("a")
    assert old in xml
    with pytest.raises(UserError, match=message):
        load(folder(tmp_path, xml.replace(old, new)))
