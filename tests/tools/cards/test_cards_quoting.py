"""Texts of others on a card are shown as they are, whatever they are to Markdown, HTML or YAML."""

import dataclasses
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from bench.record.markdown import block, code, safe
from tasks.printing import visible
from tests.tools.cards.folders import DATA, Folder, full, make
from tools.cards import check, commands, index, record
from tools.cards.archive import archive
from tools.cards.write import write

STRANGE = (
    "<script>alert(1)</script>",
    "`</code><script>",
    "a`b``c```d",
    "a|b",
    "a\\|b",
    "two\nlines\n\n# heading",
    "\x1b[2J\u202egpj.exe",
    "[x](javascript:alert(1))",
    "<!-- e:0123456789abcdef -->",
    "*a* _b_ ~~c~~ $d$ &lt; ![e](f)",
    "---\nlicense: other\n---",
    " ",
    "",
    "正面 🙂",
)


def _texts(html: str) -> str:
    """What a reader sees of a page."""
    import html as entities

    return entities.unescape(re.sub(r"<!--.*?-->|<[^>]*>", "", html))


@pytest.mark.parametrize("text", STRANGE)
@pytest.mark.parametrize("where", ["{}", "| a |\n| --- |\n| {} |"])
def test_code_and_text_are_shown_as_they_are(text: str, where: str) -> None:
    markdown = MarkdownIt("commonmark").enable("table")
    for quote, shown in ((code, visible(text)), (safe, visible(" ".join(text.split())))):
        page = markdown.render(where.format(f"x{quote(text)}y"))
        assert re.findall(r"</?(\w+)", page.replace("code", "p")).count("script") == 0
        assert set(re.findall(r"<(\w+)", page)) <= {
            "p", "code", "table", "thead", "tbody", "tr", "th", "td"
        }  # fmt: skip
        assert f"x{shown}y".strip() in _texts(page).replace("xa\n", "")
    assert "\n" not in code(text) + safe(text)


def test_a_block_is_not_ended_by_what_is_in_it() -> None:
    lines = ["a", "```", "````", "<script>", "b\nc"]
    (token,) = MarkdownIt("commonmark").parse(block("sh", lines))
    assert token.type == "fence" and token.info == "sh"
    assert token.content == "a\n```\n````\n<script>\nb\\nc\n"


def _strange(path: Path) -> Folder:
    """A checkpoint whose labels, data set and whatever else was named by somebody are strange."""
    folder = make(path, labels=STRANGE)
    data = {"name": STRANGE[1] + STRANGE[5], "fingerprint": DATA["fingerprint"]}
    folder.change_manifest(
        data=data | {"rows": {"train": 9, STRANGE[0]: 1}, "source_rows": {"train": 9}},
        teacher={"model": STRANGE[1], "subject": STRANGE[0]},
        unlabeled={"name": STRANGE[2], "fingerprint": STRANGE[5]},
        source={"model": "x", "sha256": STRANGE[1], "license": STRANGE[0]},
    )
    folder.add(folder.metric("accuracy", 0.5, dataset=data, split="test"))
    folder.add(folder.metric("accuracy", 0.5, dataset=data, split=STRANGE[5]))
    machine = {"cpu": STRANGE[0], "gpu": STRANGE[5]}
    folder.add(dataclasses.replace(folder.timed("latency", 0.5), machine=machine))
    for label in STRANGE:
        common = {"dataset": data, "label": label, "run": "r", "subject": folder.subject, "n": 7}
        folder.add(_fact("data", "rows", 3, split="train", **common))
        folder.add(_fact("class", "recall", 0.25, split="test", deployment="eager", **common))
    return folder


def _fact(kind: str, name: str, value: float, **fields: object) -> object:
    from zoo.store import evidence

    return evidence.fact(kind, name, value, "1", **fields)


def test_a_card_of_strange_names(tmp_path: Path) -> None:
    folder = _strange(tmp_path / "run")
    card = write(folder.path).read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", card)
    _, front, body = card.split("---\n", 2)
    said = yaml.safe_load(front)
    assert "license_name" not in said and said["pipeline_tag"] == "text-classification"
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    inline = [child for token in tokens for child in token.children or ()]
    html = {one.content for one in (*tokens, *inline) if one.type.startswith("html")}
    assert all(re.fullmatch(r"<!-- e:[0-9a-f]{16} -->|</?code>", one) for one in html), html
    assert not [one for one in inline if one.type in ("link_open", "image")]
    shown = _texts(MarkdownIt("commonmark").enable("table").render(body))
    for label in STRANGE:
        assert visible(label) in shown
    assert [one.tag for one in tokens if one.type == "heading_open"].count("h1") == 1
    assert check.faults(folder.path) == []


def test_the_page_of_all_models_too(tmp_path: Path) -> None:
    folder = _strange(tmp_path / "run")
    archive(folder.path, "strange", tmp_path / "models")
    page = index.render(tmp_path / "models")
    assert "<script" not in re.sub(r"`[^`\n]*`", "", page).replace("\\<script", "")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", page)


WORDS = ("python", "--data", "my data.csv", "正面", "it's", "a\nb\x1b", "a`b```", "$HOME", "-x=*")


def test_a_command_is_what_a_shell_takes() -> None:
    said = commands.quoted(shlex.join(WORDS))
    assert said.isprintable()
    program = ["bash", "-c", f"printf '%s\\0' {said}"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert tuple(done.stdout.split("\0")[:-1]) == WORDS


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("python -m zoo.nlp.bert_cls finetune", []),
        ("python -m zoo.nlp.bert_cls finetune --data embedded --model minilm", []),
        ("python -m zoo.nlp.bert_cls finetune --data reviews.csv --model minilm", ["reviews.csv"]),
        ("python -m zoo.nlp.bert_cls finetune --data='my data' --unlabeled rest", ["my data"]),
        ("python -m zoo.nlp.bert_cls finetune --teacher big --data x", ["big", "x"]),
        ("python -m zoo.nlp.bert_cls finetune --data /home/anna/x.csv", ["x.csv"]),
        ("python -m zoo.nlp.bert_cls finetune --output_dir runs/a --qat runs/a", []),
        ("python 'unfinished --data x", []),
    ],
)
def test_what_a_command_needs_is_told(tmp_path: Path, command: str, files: list[str]) -> None:
    found = record.read(full(tmp_path / "run").path)
    told = commands.paragraphs(found, [command])[1:]
    assert re.findall(r"`([^`]*)`", " ".join(told)) == files


@pytest.mark.parametrize(
    ("labels", "front", "example"),
    [
        (("negative", "positive"), "language: en", '"fine, I loved it"'),
        (("negative", "positive"), "", '"negative"'),
        (("正面", "负面"), "language: zh", '"正面"'),
        (("正面", "负面"), "", '"正面"'),
        (("0", "1"), "language: de", None),
        (('a"b\\', "c"), "", '"a\\"b\\\\"'),
    ],
)
def test_the_example_is_in_the_language_of_the_data(
    tmp_path: Path, labels: tuple[str, ...], front: str, example: str | None
) -> None:
    folder = make(tmp_path / "run", labels=labels)
    folder.add(folder.metric("accuracy", 0.8))
    (folder.path / "card.md").write_text(f"---\n{front or 'name: x'}\n---\n")
    card = write(folder.path).read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert program
    compile(program[1], "card", "exec")
    said = re.search(r"classify\((.*)\)\)$", program[1], re.MULTILINE)
    assert (said and said[1]) == example
