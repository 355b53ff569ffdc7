"""GLUE's tables, whose quotes are characters like any other, and tables that only look alike."""

from pathlib import Path

import datasets
import pytest

from tasks.data import tables
from tasks.data.source import DataArgs, Source, load
from tasks.errors import UserError
from tasks.nlp import text_classification, text_files
from tasks.nlp.text_classification import Args

NLI = "sentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse"
MNLI = f"index\tpromptID\tpairID\tgenre\t{NLI}\tsentence1\tsentence2"
DEV = "label1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def read(path: Path) -> Source:
    def no_embedded() -> datasets.DatasetDict:
        raise AssertionError("the embedded data were not asked for")

    return load(DataArgs(data=str(path)), no_embedded, text_files.load)


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.tsv").write_text(content)
    return folder


def task_of(folder: Path, *, problem_type: str = "auto"):
    data = DataArgs(data=str(folder), validation_size=0, test_size=0)
    return text_classification.from_data(Args(problem_type=problem_type), data)


def test_cola_has_no_header(tmp_path: Path) -> None:
    rows = "gj04\t1\t\t\"Our friends won't buy.\ngj04\t0\t*\tThey drank the pub.\n"
    write(tmp_path, train=rows, dev=rows[: rows.index("\n")], test="index\tsentence\n0\tBill.\n")
    (tmp_path / "original" / "raw").mkdir(parents=True)
    (tmp_path / "original" / "raw" / "in_domain_train.tsv").write_text(rows)
    found = read(tmp_path)
    assert found.rows == {"train": 2, "validation": 1, "test": 1}, "and nothing of original/"
    assert found.splits["train"]["sentence"] == [
        "\"Our friends won't buy.",
        "They drank the pub.",
    ]
    task, examples = task_of(tmp_path)
    assert task.labels == ("0", "1") and examples.splits["train"]["label"] == [1, 0]
    assert examples.unlabelled == {"test": 1}, "a hidden test"
    assert tables.place_of(tmp_path / "train.tsv", 1) == "line 2"


def test_sst_2_keeps_its_quotes(tmp_path: Path) -> None:
    rows = 'sentence\tlabel\n"a charmer\t1\nit is "dull"\t0\n"so-called"\t0\nas is\t1\n'
    write(tmp_path, train=rows)
    assert read(tmp_path).splits["train"]["sentence"] == [
        '"a charmer',
        'it is "dull"',
        '"so-called"',
        "as is",
    ]
    assert tables.place_of(tmp_path / "train.tsv", 2) == "line 4"


def test_a_table_that_a_program_wrote_has_quotes_around_its_fields(tmp_path: Path) -> None:
    rows = 'sentence\tlabel\n"a ""charmer"", yes"\t1\n"two\nlines"\t0\nas is\t1\n'
    write(tmp_path, train=rows)
    found = read(tmp_path).splits["train"]["sentence"]
    assert found == ['a "charmer", yes', "two\nlines", "as is"]
    assert tables.place_of(tmp_path / "train.tsv", 2) == "line 5"


def test_other_tables_have_quotes_as_ever(tmp_path: Path) -> None:
    write(tmp_path, train='text\tlabel\n"fine film"\tb\n')
    assert read(tmp_path).splits["train"]["text"] == ["fine film"]
    write(tmp_path, train='text\tlabel\n"fine film\tb\n')
    with pytest.raises(UserError, match="line 2, is broken: a quote is opened"):
        read(tmp_path)


def test_mnli_reads_two_columns_and_joins_both_devs(tmp_path: Path) -> None:
    parse = "\t".join("( a )" for _ in range(4))
    dev = f'1\t1\t1n\tfiction\t{parse}\tA "man.\tHe.' + "\tneutral" * 6 + "\n"
    train = f"0\t31193\t31193n\tgovernment\t{parse}\t\"It's so.\tNo."
    write(
        tmp_path,
        train=f"{MNLI}\tlabel1\tgold_label\n"
        + "".join(f"{train}\t{label}\t{label}\n" for label in ("neutral", "entailment")),
        dev_matched=f"{MNLI}\t{DEV}\n{dev}",
        dev_mismatched=f"{MNLI}\t{DEV}\n{dev}",
        test_matched=f"{MNLI}\n{train}\n",
    )
    task, examples = task_of(tmp_path)
    assert task.columns == {"text": "sentence1", "text_pair": "sentence2", "label": "gold_label"}
    assert task.labels == ("entailment", "neutral")
    row = examples.splits["train"][0]
    assert (row["text"], row["text_pair"], row["label"]) == ("\"It's so.", "No.", 1)
    assert examples.splits["validation"].num_rows == 2 and examples.unlabelled == {"test": 1}


def test_qqp_leaves_out_its_broken_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    rows = [f'{i}\t1\t2\tWhat is "{i}?\tWhat?\t{i % 2}' for i in range(300)]
    rows[7] = "7\t1\t2\tbroken"
    write(tmp_path, train="\n".join([header, *rows]))
    task, examples = task_of(tmp_path)
    assert task.columns["text"] == "question1" and task.columns["text_pair"] == "question2"
    assert examples.splits["train"].num_rows == 299
    said = f"note: {tmp_path / 'train.tsv'}: 1 line without the 6 fields of the header are left out"
    assert said in capsys.readouterr().err
    read(tmp_path)
    assert said in capsys.readouterr().err, "out of the cache, too"
    rows[8:20] = ["8\t1"] * 12
    write(tmp_path, train="\n".join([header, *rows]))
    with pytest.raises(UserError, match="line 9, has 4 fields, but the header has 6"):
        read(tmp_path)


def test_sts_b_is_a_number(tmp_path: Path) -> None:
    header = (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
    )
    rows = [f'{i}\tmain\tMSR\t2012\t{i}\tnone\tnone\t"A{i}\tB\t{i / 2:.3f}' for i in range(9)]
    write(tmp_path, train="\n".join([header, *rows]))
    task, examples = task_of(tmp_path)
    assert task.problem_type == "regression" and examples.splits["train"]["label"][3] == 1.5
    assert examples.splits["train"]["text"][0] == '"A0'


@pytest.mark.parametrize(
    ("header", "row", "pair", "label"),
    [
        (
            "index\tquestion\tsentence\tlabel",
            "{i}\tWho?\tHe.\t{y}",
            ("question", "sentence"),
            "label",
        ),
        (
            "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
            "{y}\t1\t2\tHe said.\tShe said.",
            ("#1 String", "#2 String"),
            "Quality",
        ),
        (
            "index\tsentence1\tsentence2\tlabel",
            "{i}\tHe said.\tShe said.\t{y}",
            ("sentence1", "sentence2"),
            "label",
        ),
    ],
)
def test_pairs(tmp_path: Path, header: str, row: str, pair: tuple[str, str], label: str) -> None:
    rows = [row.format(i=i, y=i % 2) for i in range(4)]
    write(tmp_path, train="\n".join([header, *rows]))
    task, examples = task_of(tmp_path)
    assert task.columns == dict(zip(("text", "text_pair", "label"), (*pair, label), strict=True))
    assert examples.splits["train"]["text_pair"][0]
