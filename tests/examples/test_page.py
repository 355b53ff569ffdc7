"""EXAMPLES.md says what the examples are, and the examples are fit to be shown."""

import re

import pytest

from tests.examples import page
from tests.examples.catalogue import Command, Example
from tests.examples.chapters import CHAPTERS

EXAMPLES = [example for chapter in CHAPTERS for example in chapter.examples]
WORK = {"max_steps", "max_train_samples", "max_eval_samples", "stages", "steps", "minutes"}
SIZES = {"architecture", "depth", "hidden_size", "kernel_size", "num_heads", "num_layers", "widths"}
SIZES |= {"decoder_depth", "decoder_heads", "decoder_size", "patch_size"}
OTHERS = {"model", "max_drop", "min_speedup"}  # tiny weights; a contract that noise can't break


def test_the_page_is_what_is_rendered() -> None:
    rendered = page.render()
    assert page.PAGE.read_text(encoding="utf-8") == rendered, "run python -m tests.examples"


def test_links_lead_to_the_examples() -> None:
    text = page.render()
    titles = re.findall(r"^###? (.+)$", text, re.MULTILINE)
    slugs = [page.slug(title) for title in titles]
    assert len(slugs) == len(set(slugs))
    links = re.findall(r"\]\(#([^)]*)\)", text)
    assert len(links) == len(EXAMPLES) and set(links) <= set(slugs)


def test_the_tests_make_commands_shorter_and_change_nothing_else() -> None:
    assert set(page.small_flags()) <= WORK | SIZES | OTHERS


def test_every_example_has_a_command_or_says_what_is_missing() -> None:
    for example in EXAMPLES:
        assert example.commands or example.lacks, example.name
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES)
    lines = [command.line for example in EXAMPLES for command in example.commands]
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize(
    ("lacks", "of_all", "status"),
    [
        (("", ""), "", "runs"),
        (("", "x"), "", "in part"),
        (("", ""), "x", "in part"),
        (("x", "x"), "", "not yet"),
        ((), "x", "not yet"),
    ],
)
def test_status(lacks: tuple[str, ...], of_all: str, status: str) -> None:
    commands = tuple(Command("python -m zoo list", lacks=one) for one in lacks)
    assert Example("a", "A", commands=commands, lacks=of_all).status == status


def test_commands_are_wrapped_between_flags() -> None:
    long = "python -m zoo.nlp.rnn_cls finetune --data 'a b.csv' " + "--hidden_size 128 " * 6
    lines = page.wrapped(long.strip())
    assert len(lines) > 1 and all(len(line) <= page.WIDTH for line in lines)
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert " ".join(line.removesuffix("\\").strip() for line in lines) == long.strip()


def test_what_a_command_reads_and_makes() -> None:
    train = Command("python -m zoo.nlp.rnn_cls finetune --model runs/a --output_dir runs/b")
    assert (train.output, train.inputs) == ("runs/b", {"runs/a"})
    export = Command("python -m zoo.nlp.rnn_cls export runs/b --runtime onnx")
    assert (export.output, export.inputs) == ("runs/b/artifacts/onnx", {"runs/b"})
    predict = Command("python -m zoo.nlp.rnn_cls predict runs/b --deployment onnx --text hello")
    assert (predict.output, predict.inputs) == (None, {"runs/b/artifacts/onnx"})
    served = Command("python -m zoo serve runs/b runs/c --cache_mb 64")
    assert served.serves and not served.asks and served.inputs == {"runs/b", "runs/c"}
    files = Command("python -m zoo serve runs/b --write_config docker deploy")
    assert not files.serves and not files.asks
    assert Command("curl -s http://127.0.0.1:8080/predict").asks
    small = Command("python -m zoo.nlp.bert_cls finetune --model minilm", "--model tiny_bert")
    assert small.flags == {"model": ["tiny_bert"]}
