"""A card says what the evidence says, and nothing else."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tasks.errors import UserError
from tests.cli import run_program
from tests.tools.cards.folders import (
    DATA,
    HUB_DATA,
    PARAMETERS,
    WORK,
    Folder,
    full,
    hub_source,
    make,
)
from tools.cards import validate
from tools.cards.metadata import metadata
from tools.cards.numbers import MARK
from tools.cards.write import write
from zoo.store.checkpoint import MANIFEST


def _card(folder: Folder) -> str:
    write(folder.path)
    return folder.card


def test_the_same_records_give_the_same_bytes(carded: Folder, tmp_path: Path) -> None:
    again = carded.copy(tmp_path / "of another name")
    (again.path / "README.md").unlink()
    assert _card(again) == carded.card


def test_the_hub_reads_the_evidence_from_it(carded: Folder) -> None:
    results = ModelCard.load(carded.path / "README.md").data.eval_results
    facts = {fact.name: fact for fact in carded.facts if fact.split == "test"}
    assert {(one.metric_name, one.metric_value) for one in results} == {
        ("Accuracy", facts["accuracy"].value),
        ("F1 (macro)", facts["f1_macro"].value),
    }
    for one in results:
        assert one.metric_args["evidence"] in {f"e:{fact.id}" for fact in facts.values()}
        assert (one.dataset_name, one.dataset_split) == ("reviews", "test")
    assert results[1].metric_args["average"] == "macro"


def test_its_metadata_is_what_the_hub_takes(carded: Folder) -> None:
    data = metadata(carded.path)
    assert validate.faults(data) == []
    assert data["license"] == "apache-2.0"
    assert data["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert data["base_model_relation"] == "finetune"
    assert data["metrics"] == ["accuracy", "f1"]
    assert "language" not in data and "datasets" not in data  # nobody has told
    assert ModelCard.load(carded.path / "README.md").data.to_dict() == data


def test_every_number_names_its_fact(carded: Folder) -> None:
    ids = {fact.id for fact in carded.facts}
    cited = set(MARK.findall(carded.card))
    assert cited == ids, "every fact has its place"
    assert f"{PARAMETERS}<!-- e:" in carded.card
    for said in (
        "0.857 (0.837 to 0.877)<!--",
        "7.2 ms (6.5 to 8.6)<!--",
        "2.00× (1.80 to 2.40)<!--",
    ):
        assert said in carded.card
    assert "| `onnx` | 58.7 MB<!-- e:" in carded.card and "25.2 dB<!--" in carded.card
    assert "label_smoothing_factor" in carded.card and "/somewhere" not in carded.card


def test_the_metric_that_chose_the_weights_is_said(copy: Folder) -> None:
    assert "metric_for_best_model" not in write(copy.path).read_text(), "the main one, as usual"
    manifest = json.loads((copy.path / MANIFEST).read_text())
    manifest["config"]["train"]["metric_for_best_model"] = "f1_macro"
    (copy.path / MANIFEST).write_text(json.dumps(manifest))
    assert "| `metric_for_best_model` | f1_macro |" in write(copy.path).read_text()


def test_a_metric_of_another_version_is_named_by_its_words(copy: Folder) -> None:
    copy.add(copy.metric("span_f1", 0.75))
    assert "| Span f1 | 0.75" in write(copy.path).read_text()
    data = metadata(copy.path)
    (added,) = [
        one for one in data["model-index"][0]["results"][0]["metrics"] if one["type"] == "span_f1"
    ]
    assert (added["name"], added["value"]) == ("Span f1", 0.75)
    assert data["metrics"] == ["accuracy", "f1"], "those that the Hub knows"


def test_what_was_not_measured_has_no_section(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    folder.add(folder.metric("accuracy", 0.8))
    card = _card(folder)
    assert re.findall(r"^## (.+)$", card, re.MULTILINE) == [
        "Use", "Intended use and limits", "Results", "Training", "Verify"
    ]  # fmt: skip
    assert "It took" not in card and "not measured" not in card
    assert not (folder.path / "card").exists() or not any((folder.path / "card").iterdir())


def test_the_newest_fact_wins(copy: Folder) -> None:
    copy.add(copy.metric("accuracy", 0.9))
    card = _card(copy)
    assert "0.900 (0.880 to 0.920)" in card and "0.857 (0.837" not in card.split("F1 (macro)")[0]
    assert card.count("**Accuracy**") == 1


def test_facts_of_other_weights_stay_away(copy: Folder) -> None:
    copy.add(
        copy.metric("accuracy", 0.99, subject="another"), copy.timed("latency", 9, subject="b")
    )
    assert _card(copy) == Folder(copy.path).card
    assert "0.99" not in copy.card


def test_programs_that_were_not_kept_are_marked(tmp_path: Path) -> None:
    folder = full(tmp_path / "run")
    folder.add(*folder.deployed("gone", "onnx+int8-dynamic", 0.003))
    card = _card(folder)
    assert "| `onnx+int8-dynamic` † | 3.00 ms" in card and "| `onnx` | 7.2 ms" in card
    assert "† Built to be compared" in card


def test_another_build_is_marked(tmp_path: Path) -> None:
    folder = full(tmp_path / "run")
    folder.add(*folder.deployed("gone", "openvino", 0.004))
    first, *rest = folder.deployed("timed later", "openvino", 0.003)[:3]
    folder.add(first, *rest)
    card = _card(folder)
    assert "| `openvino` † ‡ | 3.00 ms" in card and "‡ Another build" in card
    assert "4.00 ms" not in card


@pytest.mark.parametrize(
    ("status", "said"), [("oom", "out of memory"), ("unavailable", "not available")]
)
def test_no_number_reads_as_why(copy: Folder, status: str, said: str) -> None:
    digest = next(fact.subject for fact in copy.facts if fact.deployment == "onnx")
    copy.add(
        copy.timed("peak_memory", None, status=status, interval=None, n=None, subject=digest,
                   deployment="onnx")
    )  # fmt: skip
    assert f"| {said}<!-- e:" in _card(copy)


def test_a_wrong_number_is_no_number(copy: Folder) -> None:
    digest = next(fact.subject for fact in copy.facts if fact.deployment == "onnx")
    copy.add(copy.timed("latency", 0.0001, status="wrong", subject=digest, deployment="onnx"))
    card = _card(copy)
    assert "| `onnx` | wrong<!-- e:" in card and "100 µs" not in card
    assert "![" not in card, "its point can't be drawn"


def test_the_picture_is_of_these_facts(copy: Folder) -> None:
    (before,) = (copy.path / "card").iterdir()
    assert f"(card/{before.name})" in copy.card and before.stat().st_size > 5_000
    digest = next(fact.subject for fact in copy.facts if fact.deployment == "onnx")
    copy.add(copy.timed("latency", 0.006, subject=digest, deployment="onnx"))
    card = _card(copy)
    (after,) = (copy.path / "card").iterdir()
    assert after.name != before.name and f"(card/{after.name})" in card


def test_people_add_what_no_file_can_tell(copy: Folder) -> None:
    (copy.path / "card.md").write_text(
        "---\nlanguage: en\nlicense: MIT\ntags: [films]\nname: Reviews of films\n"
        "repo: me/reviews\ndatasets: stanfordnlp/imdb\n---\n\nMade for a course.\n"
    )
    card = _card(copy)
    data = ModelCard.load(copy.path / "README.md").data
    assert (data.language, data.license, data.datasets) == ("en", "mit", ["stanfordnlp/imdb"])
    assert data.tags == ["bert_cls", "films"]
    assert card.count("# Reviews of films\n") == 1 and "\n\nMade for a course.\n\n" in card
    assert 'model="me/reviews"' in card and "tools.hub verify me/reviews" in card
    (source,) = {one.source_url for one in data.eval_results}
    assert source == "https://huggingface.co/me/reviews/blob/main/evidence.jsonl"
    assert validate.faults(metadata(copy.path)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("---\nlanguage: [\n---\n", "line 2: its front matter is not valid YAML"),
        ("---\nlicence: mit\n---\n", "has no key 'licence'"),
        ("---\nlanguage: 3\n---\n", "language in its front matter wants a text"),
        ("---\nlanguage: en\n", "its front matter has no end"),
        ("---\n- en\n---\n", "wants lines of `key: value`"),
        ("---\nlanguage: klingon\n---\n", "language 'klingon' is no code of ISO 639"),
        ("---\nbenchmarks: [a]\n---\n", "benchmarks in its front matter wants"),
    ],
)
def test_bad_front_matter(copy: Folder, text: str, said: str) -> None:
    before = copy.card
    (copy.path / "card.md").write_text(text)
    with pytest.raises(UserError) as error:
        write(copy.path)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert copy.card == before


@pytest.mark.parametrize(
    ("license_", "said"),
    [
        ("MIT", {"license": "mit"}),
        (
            "Tongyi Qianwen License",
            {
                "license": "other",
                "license_name": "tongyi-qianwen-license",
                "license_link": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
            },
        ),
        (None, {}),
    ],
)
def test_the_licence_is_that_of_the_base_model(
    copy: Folder, license_: str | None, said: dict[str, str]
) -> None:
    copy.change_manifest(source=hub_source(license=license_))
    data = metadata(copy.path)
    assert {key: data[key] for key in data if key.startswith("license")} == said
    assert validate.faults(data) == []


def test_what_began_from_scratch_has_neither_base_nor_licence(copy: Folder) -> None:
    copy.change_manifest(source={"model": None, "license": None})
    data = metadata(copy.path)
    assert not {"license", "base_model", "base_model_relation"} & set(data)
    assert "Trained from scratch on `reviews`." in _card(copy)


def test_a_data_set_of_the_hub_is_named_with_its_revision(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    folder.change_manifest(data=HUB_DATA)
    folder.add(folder.metric("accuracy", 0.8, dataset=HUB_DATA))
    write(folder.path)
    (result,) = ModelCard.load(folder.path / "README.md").data.eval_results
    assert (result.dataset_revision, result.dataset_config) == ("a" * 40, "plain_text")
    assert metadata(folder.path)["datasets"] == ["stanfordnlp/imdb"]
    assert not (folder.path / ".eval_results").exists(), "nobody said that it is a benchmark"
    (folder.path / "card.md").write_text(
        "---\nbenchmarks:\n  stanfordnlp/imdb: {task_id: imdb, metric: accuracy}\n"
        "  other/data: {task_id: x, metric: accuracy}\n---\n"
    )
    write(folder.path)
    (path,) = (folder.path / ".eval_results").iterdir()
    assert path.name == "stanfordnlp_imdb.yaml"
    import yaml
    from huggingface_hub import parse_eval_result_entries

    (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("stanfordnlp/imdb", "imdb", 0.8)
    assert entry.dataset_revision == "a" * 40


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"problem_type": "regression", "labels": ()}, "Gives a number for an input"),
        ({"problem_type": "multi_label_classification"}, "probability reaches 0.5"),
        ({}, "one of 2 labels: `negative`, `positive`"),
    ],
)
def test_limits_are_those_of_the_task(tmp_path: Path, task: dict[str, object], said: str) -> None:
    folder = make(tmp_path / "run", **task)
    folder.add(folder.metric("accuracy", 0.8))
    card = _card(folder)
    assert said in card and "Reads 128 tokens at most" in card
    assert "has not been measured" in card


def test_machines_and_workloads_have_tables_of_their_own(tmp_path: Path) -> None:
    folder = full(tmp_path / "run")
    folder.add(*folder.deployed("gone", "openvino", 0.004))
    folder.add(folder.timed("latency", 0.08, workload=WORK | {"batch": 16}))
    card = _card(folder)
    assert "Batch 1, length 26, 2 threads:" in card and "Batch 16, length 26, 2 threads:" in card
    assert card.count("### What they lose") == 1
    assert DATA["fingerprint"][:12] in card
    assert "Rows: 6,000 of train, 1,500 of test." in card


def test_rendering_needs_no_torch(carded: Folder) -> None:
    program = (
        "import contextlib, sys\nfrom pathlib import Path\nfrom tools.cards import cli\n"
        "with contextlib.suppress(SystemExit):\n    cli.main(['--help'])\n"
        "assert 'huggingface_hub' not in sys.modules\n"
        "from tools.cards import check\n"
        f"assert check.faults(Path({str(carded.path)!r})) == []\n"
        "heavy = {'torch', 'transformers', 'datasets', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)\n"
    )
    run_program(program)


def test_a_distance_of_pictures_names_the_classifier_and_its_scale(copy: Folder) -> None:
    """One of another classifier is another result."""
    for name, value in (("runs/a", 48.0), ("runs/b", 7.5)):
        where = {"features": name[-1] * 64, "classifier": name, "real": 180, "seed": 1}
        fact = copy.metric("fid", value, workload=where, run=name)
        scale = dataclasses.replace(fact, kind="reference", name="reference_fid", label="noise")
        copy.add(fact, dataclasses.replace(scale, value=10 * value, interval=None))
    write(copy.path)
    rows = [line for line in copy.card.splitlines() if line.startswith("|")]
    rows = [row for row in rows if "distance" in row or "same of" in row]
    assert [row.split("|")[1].strip() for row in rows] == [
        "Fréchet distance (FID) in the features of `runs/a`",
        "the same of noise",
        "Fréchet distance (FID) in the features of `runs/b`",
        "the same of noise",
    ]
