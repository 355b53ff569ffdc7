"""`python -m bench report`: what it writes, and that nothing of results can do harm."""

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench import cli
from bench.cases.case import Case
from bench.record import store
from bench.record.markdown import safe
from tests.bench.report.made import failed, measured, result

EVIL = "<img src=x onerror=\"document.title='harm'\"><script>document.title='harm'</script>|`*"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with something of everything."""
    path = tmp_path_factory.mktemp("report") / "results.jsonl"
    eager = [Case.of("minilm", "eager", batch, length) for batch in (1, 8) for length in (32, 128)]
    kept = [each for case in eager for each in measured(case, 0.01 * case.workload.batch)]
    kept += measured(Case.of("minilm", "compile", 1, 32), 0.004, start=4.0, cold=30.0)
    kept += measured(Case.of("minilm", "onnx", 1, 32), 0.006, start=1.0)
    kept += failed(Case.of("minilm", "onnx+int8-dynamic", 1, 32), "wrong", f"off by {EVIL}")
    kept += failed(Case.of("minilm", "openvino", 1, 32), "unavailable", "not installed")
    kept += measured(Case.of(EVIL, "eager", 1, 32), 0.5)
    kept += [result(Case.of("minilm", "eager", 64, 32), "parity", commit=EVIL)]
    kept += [result(Case.of("minilm", "eager", 64, 32), "latency", status="oom", commit=EVIL)]
    for each in kept:
        store.append(path, each)
    return path


@pytest.fixture(scope="module")
def page(results: Path) -> Path:
    out = results.parent / "report.html"
    assert cli.main(["report", str(results), "--out", str(out)]) == 0
    return out


class Reader(html.parser.HTMLParser):
    """The tags of a page with their attributes, and the rows of its first table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def rows(self) -> list[dict[str, str | None]]:
        """Attributes of the rows of the first table."""
        start, end = [i for i, (tag, _) in enumerate(self.tags) if tag == "section"][:2]
        return [attrs for tag, attrs in self.tags[start:end] if tag == "tr" and "data-row" in attrs]


def test_the_page_needs_nothing_else_and_runs_nothing_else(page: Path) -> None:
    text = page.read_text()
    read = Reader(text)
    assert not re.search(r"https?:|url\(|@import", text)
    assert {tag for tag, _ in read.tags}.isdisjoint({"img", "link", "iframe", "base", "object"})
    assert sum(tag == "script" for tag, _ in read.tags) == 1
    assert not [attrs for _, attrs in read.tags if any(name.startswith("on") for name in attrs)]
    policy = next(a["content"] for _, a in read.tags if a.get("http-equiv")) or ""
    script = text[text.index("<script>") + 8 : text.index("</script>")].encode()
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert base64.b64encode(hashlib.sha256(script).digest()).decode() in policy


def test_a_case_without_a_number_says_why_in_one_cell_and_comes_last(
    page: Path, results: Path, tmp_path: Path
) -> None:
    """A word in each of ten columns would hide the cases that have numbers."""
    text = page.read_text()
    table = text[text.index('<section id="cases">') : text.index("</table>")]
    rows = re.findall(r"<tr data-row=.*?</tr>", table)
    why = [
        re.findall(r'<td class="missing why" colspan="\d+"><span>(.*?)</span>', row) for row in rows
    ]
    begin = next(i for i, found in enumerate(why) if found)
    assert 0 < begin < len(rows) and all(why[begin:]) and not any(why[:begin])
    assert ["not installed"] in why
    markdown = tmp_path / "report.md"
    words = ["report", str(results), "--out", str(tmp_path / "x.html"), "--markdown", str(markdown)]
    assert cli.main(words) == 0
    lines = [line for line in markdown.read_text().splitlines() if line.startswith("| minilm")]
    widths = {line.replace("\\|", "").count("|") for line in lines[: len(rows) - 1]}
    assert len(widths) == 1 and any("| *not installed* |  |" in line for line in lines)


def test_what_is_not_ok_is_a_word_and_no_number(page: Path) -> None:
    rows = {(row["data-words"] or ""): row for row in Reader(page.read_text()).rows()}
    assert len(rows) == 10
    for word in ("wrong", "unavailable", "oom"):
        (values,) = (json.loads(r["data-values"] or "") for w, r in rows.items() if word in w)
        assert values["status"] == word and "latency" not in values and "eager" not in values


def test_markdown_and_pictures(results: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "docs" / "report.md", tmp_path / "pictures"
    arguments = ["report", str(results), "--out", str(tmp_path / "r.html")]
    arguments += ["--markdown", str(out), "--pictures", str(folder)]
    assert cli.main(arguments) == 0
    text = out.read_text()
    linked = re.findall(r"\]\(<(.*?)>\)", text)
    drawn = sorted(path.name for path in folder.iterdir())
    assert drawn == sorted(Path(each).name for each in linked) and len(drawn) == len(set(drawn)) > 5
    assert all((out.parent / each).resolve().read_bytes()[:4] == b"\x89PNG" for each in linked)
    assert "after 335 calls (320 to 351)" in text.replace("\\", "")
    assert "**wrong**" in text and "<img" not in text.replace("\\<", "")
    tables = [line for line in text.split("\n") if line.startswith("| minilm")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables[:5]}
    assert len(widths) == 1, "a bar in a text is no border of a cell"


def test_links_stay_and_what_they_lead_to_is_replaced(results: Path, tmp_path: Path) -> None:
    targets = [tmp_path / "kept" / name for name in ("page", "text")]
    links = [tmp_path / name for name in ("r.html", "r.md")]
    targets[0].parent.mkdir()
    for target, link in zip(targets, links, strict=True):
        target.write_text("old")
        link.symlink_to(target)
    arguments = ["report", str(results), "--out", str(links[0]), "--markdown", str(links[1])]
    assert cli.main(arguments) == 0
    assert all(link.is_symlink() for link in links)
    assert targets[0].read_text().startswith("<!doctype html>")
    assert targets[1].read_text().startswith("# Benchmark")
    assert sorted(path.name for path in targets[0].parent.iterdir()) == ["page", "text"]


def test_two_machines_are_told_apart(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    for each in measured(Case.of("minilm", "eager", 1, 32), 0.001, machine={"cpu": "Another"}):
        store.append(other, each)
    out = tmp_path / "r.html"
    assert cli.main(["report", str(results), str(other), "--out", str(out)]) == 0
    text = out.read_text()
    assert "Machine A" in text and "Machine B" in text and "Another" in text
    assert "minilm, machine B" in text and "several machines" in text


def test_what_markdown_would_take_for_its_own() -> None:
    assert safe("a|b\n<c> *d*") == "a\\|b \\<c\\> \\*d\\*"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "what to report on?"),
        (["{none}"], "no such file"),
        (["{empty}"], "holds no results"),
        (["{results}", "--out", "{folder}"], "is a folder"),
        (["{results}", "--markdown", "{folder}"], "is a folder"),
        (["{results}", "--pictures", "{empty}"], "is a file"),
        (["{results}", "--out", "{empty}/r.html"], "can't be written"),
    ],
)
def test_a_mistake_is_one_line(
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    names = {"results": results, "folder": tmp_path, "empty": tmp_path / "empty.jsonl"}
    given = [each.format(none=tmp_path / "none.jsonl", **names) for each in arguments]
    assert cli.main(["report", *given]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def _dumped(address: str) -> str:
    """A page as the browser has it when its script has run."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([*command, address], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_browser
def test_the_address_sorts_and_filters(page: Path) -> None:
    text = _dumped(f"{page.as_uri()}#sort=-latency&filter=minilm+batch-1")
    assert "6 of 10 cases" in text
    assert "<title>Benchmark: results.jsonl</title>" in text, "nothing of results has run"
    shown = [r for r in Reader(text).rows() if "off" not in (r.get("class") or "").split()]
    found = [json.loads(row["data-values"] or "").get("latency") for row in shown]
    assert found == [10, 10, 6, 4, None, None], "what has no number comes last"
    read = Reader(text)
    heads = [attrs for tag, attrs in read.tags if tag == "th" and attrs.get("aria-sort")]
    assert [head["aria-sort"] for head in heads] == ["descending"]
    hidden = {r["data-row"] for r in read.rows()} - {r["data-row"] for r in shown}
    points = [attrs for _, attrs in read.tags if "point" in (attrs.get("class") or "").split()]
    assert points, "charts are filtered, too"
    for attrs in points:
        off = "off" in (attrs["class"] or "").split()
        assert off == (attrs["data-row"] in hidden)


HANDS = """
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const view = frame.contentWindow, inside = frame.contentDocument, told = {};
  const tip = inside.querySelector("#tip"), root = inside.documentElement;
  const press = (node, key) =>
    node.dispatchEvent(new view.KeyboardEvent("keydown", { key, bubbles: true }));
  told.overflow = root.scrollWidth - root.clientWidth;
  const figure = [...inside.querySelectorAll("#front figure")][0];
  const points = [...figure.querySelectorAll(".point")];
  told.stops = points.filter((point) => point.tabIndex === 0).length;
  points[0].dispatchEvent(new view.FocusEvent("focusin", { bubbles: true }));
  told.focused = tip.hidden ? null : tip.querySelector("code").textContent;
  press(points[0], "ArrowRight");
  told.stop = points.findIndex((point) => point.tabIndex === 0);
  press(points[1], "Enter");
  told.entered = tip.querySelector("code").textContent;
  told.pinned = tip.classList.contains("is-pinned");
  press(tip, "Escape");
  told.escaped = tip.hidden;
  const box = points[2].querySelector(".mark").getBoundingClientRect();
  const place = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true };
  figure.querySelector("svg").dispatchEvent(new view.MouseEvent("click", place));
  told.tapped = tip.hidden ? null : tip.querySelector("code").textContent;
  inside.querySelector("h1").click();
  told.left = tip.hidden;
  inside.querySelector("button.command").click();
  told.row = tip.querySelector("p").textContent;
  document.body.append(Object.assign(document.createElement("pre"),
    { textContent: JSON.stringify(told) }));
});
"""


@needs_browser
def test_keys_and_fingers_at_the_width_of_a_phone(page: Path) -> None:
    frame = page.parent / "frame.html"
    frame.write_text(
        f'<body><iframe src="{page.name}#filter=minilm" style="width:390px;height:800px"></iframe>'
        f"<script>{HANDS}</script></body>"
    )
    told = json.loads(re.findall(r"<pre>(.*?)</pre>", _dumped(frame.as_uri()))[0])
    assert told["overflow"] <= 0, "only tables scroll sideways"
    assert told["stops"] == 1 and told["stop"] == 1, "a chart is one stop; arrows go on from there"
    begin = "python -m bench run minilm --deployments"
    end = "--batch_sizes 1 --lengths 32 --threads 1"
    assert told["focused"] == f"{begin} eager {end}"
    assert told["entered"] == f"{begin} compile {end}" and told["pinned"] and told["escaped"]
    assert told["tapped"] == f"{begin} onnx {end}" and told["left"]
    assert told["row"].startswith("eager, ")
