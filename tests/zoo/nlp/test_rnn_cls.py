"""rnn_cls from the command line, its tokenizer, and its checkpoints in transformers' hands."""

import dataclasses
import json
from pathlib import Path

import datasets
import pytest

import zoo
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.nlp.text_classification import Args
from tests.cli import Done, run_cli, run_program
from zoo.cli import verbs
from zoo.nlp import recurrent_network
from zoo.nlp.rnn_cls import ENTRY, Options
from zoo.train.args import TrainArgs

PRAISE = ("wonderful", "brilliant", "delightful", "superb")
BLAME = ("dreadful", "tedious", "clumsy", "awful")
SMALL = ("--vocab_size", "400", "--embedding_size", "16", "--hidden_size", "16")
SCRIPTS = {
    "Chinese": "这部电影非常精彩，演员的表演也很好。",
    "Hindi": "यह फ़िल्म बहुत अच्छी थी",
    "Arabic": "كان الفيلم رائعا جدا",
    "Thai": "หนังเรื่องนี้ดีมาก",
    "Emoji": "👍🏽 🎬",
}


def texts(count: int) -> list[tuple[str, str]]:
    return [
        (f"The film number {i} was {(PRAISE if i % 2 else BLAME)[i // 2 % 4]}", "np"[i % 2])
        for i in range(count)
    ]


def splits(rows: list[str], pairs: list[str] | None = None) -> datasets.DatasetDict:
    columns = {"text": rows} | ({"text_pair": pairs} if pairs else {})
    return datasets.DatasetDict(train=datasets.Dataset.from_dict(columns))


def tokenizer_of(rows: list[str], **options: object):
    chosen = dataclasses.replace(Options(vocab_size=500), **options)
    return recurrent_network.NETWORK.make_processor(chosen, None, splits(rows), ENTRY)


def trained(folder: Path, *more: str) -> Path:
    data = folder / "films.csv"
    data.write_text("text,label\n" + "".join(f"{t},{label}\n" for t, label in texts(160)))
    flags = ["--num_train_epochs", "8", "--learning_rate", "1e-2", "--report_to", "none"]
    flags += ["--per_device_train_batch_size", "16", "--output_dir", str(folder / "out")]
    assert verbs.main(ENTRY, ["finetune", "--data", str(data), *SMALL, *flags, *more]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("rnn"))


@pytest.fixture(scope="module")
def attending(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    heads = ("--pooling", "multi_head", "--attention_heads", "2")
    return trained(folder, *heads, "--long_texts", "window", "--window_overlap", "2")


def test_finetune_evaluate_predict(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.main(ENTRY, ["evaluate", str(checkpoint)]) == 0
    assert "accuracy" in capsys.readouterr().out
    asked = ["The film was superb", "the film was awful"]
    assert verbs.main(ENTRY, ["predict", str(checkpoint), "--text", *asked]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in lines] == ["p", "n"]
    assert [line["text"] for line in lines] == asked


def predict_with(folder: Path, *argv: object) -> Done:
    return run_cli(ENTRY, "predict", folder, "--device", "cpu", *argv)


def test_attention_is_shown_piece_by_piece(attending: Path, tmp_path: Path) -> None:
    asked = ["The film <b>7</b> was superb", "", "这部电影 awful"]
    page, lines = tmp_path / "a page.html", tmp_path / "lines.txt"
    done = predict_with(attending, "--text", *asked, "--attention", page)
    assert done.code == 0 and len(done.lines) == 3
    content = page.read_text(encoding="utf-8")
    assert "<b>" not in content and content.count("head 2") == 3 and "这" in content
    assert predict_with(attending, "--text", *asked, "--attention", lines).out == done.out
    blocks = lines.read_text(encoding="utf-8").split("\n\n")[:3]
    for block, text, line in zip(blocks, asked, done.lines, strict=True):
        title, *rows = block.splitlines()
        assert f"label {json.loads(line)['label']}, score" in title
        shares = {row.split()[1]: float(row.split()[0]) for row in rows}
        assert sum(float(row.split()[0]) for row in rows) == pytest.approx(1, abs=0.01)
        assert "".join(shares) or text == ""
    assert [row.split()[1] for row in blocks[1].splitlines()[1:]] == ["[SEP]"]
    printed = predict_with(attending, "--text", *asked, "--attention", "-")
    assert printed.out == done.out and printed.err.strip() == "\n\n".join(blocks).strip()


def test_attention_covers_a_text_in_windows(attending: Path) -> None:
    from tasks.nlp.attention import spans_of

    loaded = zoo.load(str(attending), device="cpu")
    task = dataclasses.replace(
        loaded.task, args=dataclasses.replace(loaded.task.args, max_length=8, window_overlap=2)
    )
    item = {"text": "The  film was not awful, 非常 it was SUPERB and naïve"}
    spans = spans_of(task, loaded.model, item)
    assert "".join(span.text for span in spans if not span.is_special) == item["text"]
    assert sum(span.share for span in spans) == pytest.approx(1)
    assert all(span.share > 0 for span in spans if span.text.strip())
    assert all(span.share == 0 for span in spans if not span.text.strip())
    assert len(task.inputs([item])[0]["input_ids"]) > 2


def test_attention_is_refused_where_there_is_none(
    checkpoint: Path, attending: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "a.txt"
    kept.write_text("mine")
    done = predict_with(checkpoint, "--text", "a film", "--attention", kept)
    assert done.code == 2 and "does not pool by attention" in done.err
    assert kept.read_text() == "mine"
    done = predict_with(attending, "--text", "a film", "--attention", tmp_path / "a.png")
    assert done.code == 2 and ".html or .txt" in done.err and not done.out


def test_heads_go_with_their_pooling(attending: Path, tmp_path: Path) -> None:
    data = ("--data", attending.parent / "films.csv", "--device", "cpu")
    weights = (*data, "--model", attending)
    out = ("--output_dir", tmp_path / "out", "--report_to", "none", "--max_steps", "1")
    done = run_cli(ENTRY, "finetune", *data, *out, "--attention_heads", "2")
    assert done.code == 2 and "`" not in done.err and "--pooling multi_head" in done.err
    done = run_cli(ENTRY, "finetune", *weights, *out, "--attention_heads", "3")
    assert done.code == 2 and "--attention_heads 3" in done.err and "has 2" in done.err
    done = run_cli(ENTRY, "finetune", *weights, *out)
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "out" / "config.json").read_text())["attention_heads"] == 2


FRESH = """
import json, sys
import zoo.auto
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
folder, *texts = sys.argv[1:]
model = AutoModelForSequenceClassification.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
read = pipeline("text-classification", model=model, tokenizer=tokenizer)
name = type(model).__name__
limit = tokenizer.model_max_length
print(json.dumps([name, limit, read(texts, batch_size=2), read(texts[0])]))
"""


def test_the_auto_classes_load_a_checkpoint_in_a_fresh_process(checkpoint: Path) -> None:
    asked = ["The film was superb", "so awful", ""]
    process = run_program(FRESH, checkpoint, *asked, env={"HF_HUB_OFFLINE": "1"})
    name, limit, together, alone = json.loads(process.out.splitlines()[-1])
    assert (name, limit) == ("RnnForSequenceClassification", 512)
    ours = zoo.load(str(checkpoint), device="cpu").predict(asked)
    for theirs, mine in zip([*together, *alone], [*ours, ours[0]], strict=True):
        assert theirs["label"] == mine["label"]
        assert theirs["score"] == pytest.approx(mine["score"], abs=1e-5)


def test_the_checkpoint_holds_no_pickle(checkpoint: Path) -> None:
    names = {path.name for path in checkpoint.iterdir() if path.is_file()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]


@pytest.mark.parametrize("kind", ["bpe", "word"])
def test_the_same_texts_give_the_same_tokenizer(kind: str) -> None:
    rows = [text for text, _ in texts(200)] + list(SCRIPTS.values()) * 3
    mine = tokenizer_of(rows, tokenizer=kind).backend_tokenizer.to_str()
    program = (
        "import json, sys; import zoo; from zoo.nlp.trained_tokenizer import train_tokenizer;"
        "t = train_tokenizer([json.load(sys.stdin)], sys.argv[1], 500, True, 512);"
        "print(t.backend_tokenizer.to_str())"
    )
    process = run_program(
        program, kind, env={"TOKENIZERS_PARALLELISM": "true"}, stdin=json.dumps(rows)
    )
    assert process.out.strip() == mine


@pytest.mark.parametrize("script", SCRIPTS)
def test_any_script_is_read_and_nothing_is_unknown(script: str) -> None:
    tokenizer = tokenizer_of(list(SCRIPTS.values()) * 5)
    ids = tokenizer(SCRIPTS[script])["input_ids"]
    assert tokenizer.unk_token_id not in ids and len(ids) > 1
    bare = tokenizer.decode(ids, skip_special_tokens=True)
    assert bare.replace(" ", "") == "".join(tokenizer_normal(tokenizer, SCRIPTS[script]).split())
    unseen = tokenizer_of(["nothing but English here"])(SCRIPTS[script])["input_ids"]
    assert tokenizer.unk_token_id not in unseen


def tokenizer_normal(tokenizer, text: str) -> str:
    return tokenizer.backend_tokenizer.normalizer.normalize_str(text)


def test_vowel_signs_do_not_cut_a_word() -> None:
    tokenizer = tokenizer_of([SCRIPTS["Hindi"]] * 5, vocab_size=2000)
    assert len(tokenizer(SCRIPTS["Hindi"])["input_ids"]) == 5 + 1  # words and [SEP]


def test_words_need_no_room_for_bytes() -> None:
    tokenizer = tokenizer_of(["good film", "good film"], tokenizer="word", vocab_size=4)
    assert len(tokenizer) == 4
    with pytest.raises(UserError, match="`vocab_size` 3: at least 4, which is a word and the"):
        tokenizer_of(["good film", "good film"], tokenizer="word", vocab_size=3)


def test_words_beyond_the_vocabulary_are_unknown() -> None:
    tokenizer = tokenizer_of(["good film", "good plot"], tokenizer="word")
    ids = tokenizer("Good novel")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["good", "[UNK]", "[SEP]"]


def test_case_is_kept_when_asked() -> None:
    rows = ["Good GOOD good"] * 3
    assert len(set(tokenizer_of(rows)(rows[0])["input_ids"])) == 2
    assert len(set(tokenizer_of(rows, lowercase=False)(rows[0])["input_ids"])) == 4


def test_texts_of_a_pair_are_set_apart_and_both_train_the_tokenizer() -> None:
    examples = splits(["aaaa bbbb"] * 3, ["cccc dddd"] * 3)
    tokenizer = recurrent_network.NETWORK.make_processor(
        Options(vocab_size=500, tokenizer="word"), None, examples, ENTRY
    )
    encoded = tokenizer("bbbb", "cccc")
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    assert tokens == ["bbbb", "[SEP]", "cccc", "[SEP]"]
    assert "token_type_ids" not in encoded
    assert tokenizer("")["input_ids"] == [tokenizer.sep_token_id]


def test_only_the_training_split_trains_the_tokenizer() -> None:
    examples = splits(["good film"] * 3)
    examples["test"] = datasets.Dataset.from_dict({"text": ["secret"] * 3})
    tokenizer = recurrent_network.NETWORK.make_processor(
        Options(vocab_size=500, tokenizer="word"), None, examples, ENTRY
    )
    assert "secret" not in tokenizer.get_vocab()


def test_pairs_and_numbers_train(tmp_path: Path) -> None:
    data = tmp_path / "pairs.csv"
    rows = "".join(f"{t},and {t},{i / 7:.3f}\n" for i, (t, _) in enumerate(texts(60)))
    data.write_text("sentence1,sentence2,score\n" + rows)
    flags = ["--cell", "gru", "--num_layers", "2", "--pooling", "last", "--max_steps", "3"]
    flags += ["--problem_type", "regression"]
    flags += ["--report_to", "none", "--output_dir", str(tmp_path / "out")]
    assert verbs.main(ENTRY, ["finetune", "--data", str(data), *SMALL, *flags]) == 0
    ours = zoo.load(str(tmp_path / "out"), device="cpu").predict([("a film", "and a film")])
    assert ours[0]["label"] == "LABEL_0"


@pytest.mark.parametrize(
    "wrong",
    [{"hidden_size": 0}, {"rnn_dropout": 1.0}, {"vocab_size": 100}, {"token_limit": 1}],
)
def test_options_that_make_no_network_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"`{next(iter(wrong))}`"):
        tokenizer_of(["a text"], **wrong)


def test_no_flag_means_two_things() -> None:
    own = {field.name for field in dataclasses.fields(Options)}
    for other in (TrainArgs, DataArgs, Args):
        assert not own & {field.name for field in dataclasses.fields(other)}


def test_the_entry_is_declared_without_torch() -> None:
    program = "import sys, zoo.nlp.rnn_cls; sys.exit('torch' in sys.modules)"
    run_program(program)
