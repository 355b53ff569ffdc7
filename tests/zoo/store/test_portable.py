"""What tells where things lie, whose they are or how to get in is not recorded."""

from pathlib import Path

import pytest

from zoo.store.portable import portable, without_paths

SECRET = ("anna", "s3cret", "server", "10.0.0.7")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/home/anna/reviews.csv", "reviews.csv"),
        ("/home/anna/my data/reviews.csv", "reviews.csv"),
        ("../../home/anna/reviews.csv", "reviews.csv"),
        ("runs/../../anna/x", "x"),
        ("..", "."),
        ("~anna/reviews", "reviews"),
        ("~/anna/reviews/", "reviews"),
        ("~anna", "anna"),  # that is all there is
        ("C:\\Users\\anna\\x.csv", "x.csv"),
        ("C:/Users/anna/x.csv", "x.csv"),
        ("..\\..\\anna\\x.csv", "x.csv"),
        ("\\\\server\\anna\\x.csv", "x.csv"),
        ("//server/anna/x.csv", "x.csv"),
        ("file:///home/anna/x.csv", "x.csv"),
        ("https://anna:s3cret@server/d/x.csv?token=s3cret#anna", "x.csv"),
        ("s3://anna:s3cret@bucket", "bucket"),
        ("postgresql://anna:s3cret@10.0.0.7:5432/reviews", "reviews"),
        ("anna@server:/data/x.csv", "x.csv"),
        ("anna@server:x.csv", "x.csv"),
        ("--data=../anna/x.csv", "--data=x.csv"),
        ("[/home/anna/a.csv,../anna/b.csv]", "[a.csv,b.csv]"),
        ("a.csv,s3://anna:s3cret@server/b.csv,~anna/c.csv", "a.csv,b.csv,c.csv"),
        ("train:/home/anna/a.csv", "train:a.csv"),
        ('{"path": "\\\\server\\anna\\a.csv"}', '{"path": "a.csv"}'),
    ],
)
def test_the_last_part_stays(text: str, said: str) -> None:
    assert portable(text) == said == portable(said)
    assert said == "anna" or not any(word in said for word in SECRET)


@pytest.mark.parametrize(
    "text",
    [
        "and/or", "runs/bert_cls", "movie_reviews", "stanfordnlp/imdb", "me/reviews@v1", "a...b",
        "onnx+int8-dynamic", "accuracy<-0.005", "1e-4", "正面", "</a>", "12:30", "embedded", "x~y",
        "what... is it / was it", ".", "./data.csv", "label:a@b",
    ],
)  # fmt: skip
def test_what_tells_nothing_stays(text: str) -> None:
    assert portable(text) == text


def test_paths_below_the_working_directory_are_relative(tmp_path: Path) -> None:
    assert portable(f"{tmp_path}/runs/x", tmp_path) == "runs/x"
    assert portable(f"{tmp_path}/../x", tmp_path) == "x"
    assert portable(f"[{tmp_path}/a,/b/c]", tmp_path) == "[a,c]"


def test_plain_json() -> None:
    said = {"a": ["/x/anna/y", 1, None], "b": {"c": ("~anna/z", True)}}
    assert without_paths(said) == {"a": ["y", 1, None], "b": {"c": ["z", True]}}
