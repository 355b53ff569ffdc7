"""Compiled over eager as one number, and the columns that GPUs have."""

import math
from pathlib import Path

import pytest

from bench import cli
from bench.cases.case import Case
from bench.record import store
from bench.record.results import Result
from bench.report import columns, described, geomeans, markdown, page, trade_offs
from bench.report.data import Report, gather
from bench.report.write import sections_of
from tests.bench.report.made import failed, measured, on_gpu

MODELS = ("bert-base-uncased", "resnet50", "vit-base")


def _case(model: str, deployment: str, phase: str = "inference") -> Case:
    return Case.of(model, deployment, 32, 128, device="cuda", phase=phase)


def _suite() -> list[Result]:
    """Three models in two phases: 2, 4 and 1 times as fast, with one that is wrong in training."""
    found: list[Result] = []
    for phase in ("inference", "training"):
        for model, factor in zip(MODELS, (2.0, 4.0, 1.0), strict=True):
            for eager, compiled in (("eager", "compile"), ("eager+bf16", "compile+bf16")):
                found += on_gpu(_case(model, eager, phase), 0.02, allocated=3e9)
                case = _case(model, compiled, phase)
                if (phase, model) == ("training", "vit-base"):
                    found += failed(case, "wrong", "rmse 4.1x eager")
                else:
                    found += on_gpu(case, 0.02 / factor, allocated=2e9, compile_s=30.0 * factor)
    return found


@pytest.fixture(scope="module")
def report() -> Report:
    return gather(["gpu"], _suite())


def test_a_mean_of_ratios_is_geometric(report: Report) -> None:
    found = {(one.where, one.compiled): one for one in geomeans.summaries(report)}
    assert set(found) == {
        (f"{phase}, cuda", name)
        for phase in ("inference", "training")
        for name in ("compile", "compile+bf16")
    }
    one = found["inference, cuda", "compile+bf16"]
    assert one.baseline == "eager+bf16" and (one.cases, len(one.pairs)) == (3, 3)
    assert one.ratio == pytest.approx(2.0)
    assert one.compile_seconds == pytest.approx(70.0)
    assert one.memory_ratio == pytest.approx(1.5)


def test_its_interval_is_narrower_than_that_of_a_case(report: Report) -> None:
    """By the square root of their number: each ratio has two halfwidths of 2%."""
    one = geomeans.summaries(report)[0]
    low, high = one.interval
    reach = math.sqrt(3 * 2) * math.log(1.02) / 3
    assert math.log(high / one.ratio) == pytest.approx(reach)
    assert math.log(one.ratio / low) == pytest.approx(reach)


def test_what_is_wrong_counts_as_tried(report: Report) -> None:
    training = next(one for one in geomeans.summaries(report) if "training" in one.where)
    assert (training.cases, len(training.pairs)) == (3, 2)
    assert training.ratio == pytest.approx(math.sqrt(8.0))
    cells = geomeans.cells(training)
    assert (cells[3].text, cells[3].remark) == ("67%", "2 of 3")
    assert cells[5].text == "2.00 to 4.00" and "bert-base-uncased to resnet50" in cells[5].remark


def test_where_none_passed_there_is_no_mean() -> None:
    found = [*on_gpu(_case("resnet50", "eager"), 0.02)]
    found += failed(_case("resnet50", "compile"), "oom", "no memory")
    (one,) = geomeans.summaries(gather(["r"], found))
    cells = geomeans.cells(one)
    assert cells[3].remark == "0 of 1" and all(cell.is_missing for cell in cells[4:])


def test_without_eager_in_the_same_numerics_there_is_no_pair() -> None:
    found = on_gpu(_case("resnet50", "eager"), 0.02)
    found += on_gpu(_case("resnet50", "compile+bf16"), 0.01)
    assert geomeans.summaries(gather(["r"], found)) == []


def test_columns_of_a_gpu(report: Report) -> None:
    table = columns.tables(report)["cases"]
    cells = {column.name: column.cell(table.rows[0]) for column in table.columns}
    assert cells["mfu"].text == f"{1e12 / 0.02 / 7e14:.1%}"
    assert cells["mfu_sheet"].text == f"{1e12 / 0.02 / 9.894e14:.1%}"
    assert cells["waited"].text == "25.0" and cells["clock"].text == "1,755"
    assert cells["energy_above"].number < cells["energy"].number
    low, _, high = cells["mfu"].remark.partition(" to ")
    assert float(low[:-1]) < 1e14 / 0.02 / 7e14 < float(high[:-1])


def test_host_and_device_have_a_table(report: Report) -> None:
    table = columns.tables(report)["devices"]
    cells = {column.name: column.cell(table.rows[0]).text for column in table.columns}
    assert cells == {
        "host": "18.00",
        "device": "19.00",
        "busy": "15.00",
        "do_bench": "18.80",
        "over": "1.064",
    }


def test_on_a_gpu_its_own_memory_is_weighed(report: Report) -> None:
    row = next(row for row in report.rows if row.case.deployment == "eager")
    memory = next(cost for cost in trade_offs.COSTS if cost.name == "memory")
    assert memory.of(row) == pytest.approx(3e9 / 2**20)
    on_cpu = gather(["r"], measured(Case("minilm"), 0.1, memory=2.0**21)).rows[0]
    assert memory.of(on_cpu) == 2.0


def test_a_report_of_processors_has_no_such_columns() -> None:
    table = columns.tables(gather(["r"], measured(Case("minilm"), 0.1)))["cases"]
    names = {column.name for column in table.columns}
    assert "mfu" in names and names.isdisjoint({"mfu_sheet", "waited", "clock"})
    assert "device waits" not in table.left_out


def test_limits_of_the_gpu_are_named(report: Report) -> None:
    facts = dict(described.facts(report.environments[0]))
    assert facts["GPU limits"] == (
        "SM clock up to 1,980 MHz, memory up to 3,201 MHz, power limit 700 W"
    )
    assert facts["peaks"] == "of the H100/H200 SXM white paper, dense"


def test_both_kinds_of_report_show_it(report: Report, tmp_path: Path) -> None:
    tables, sections = columns.tables(report), sections_of(report)
    html = page.render(report, tables, sections)
    assert '<a href="#geomeans">' in html and "2 of 3" in html
    text = markdown.render(report, tables, sections, {})
    lines = [line for line in text.splitlines() if line.startswith("| compile") and "eager" in line]
    lines = [line for line in lines if "geometric" not in line]
    assert len(lines) == 4 and "2.00 (" in lines[0]
    assert len({line.count("|") for line in lines}) == 1
    path = tmp_path / "gpu.jsonl"
    for each in _suite():
        store.append(path, each)
    assert cli.main(["report", str(path), "--out", str(tmp_path / "r.html")]) == 0
    assert (tmp_path / "r.html").read_text() == html.replace(
        "from gpu.", "from gpu.jsonl."
    ).replace("<title>Benchmark: gpu<", "<title>Benchmark: gpu.jsonl<")


def test_without_compiled_programs_there_is_no_such_section() -> None:
    report = gather(["r"], measured(Case("minilm"), 0.1))
    assert "geomeans" not in page.render(report, columns.tables(report), sections_of(report))
