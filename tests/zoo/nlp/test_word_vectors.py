"""word_vectors from the command line: words that stand in the same places come near each other."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import zoo
from bench import cli
from tasks.errors import UserError
from tests.cli import Done, run_cli, run_program
from zoo.nlp import pretrained_embeddings, vector_files
from zoo.nlp.modeling_word_vectors import WordVectorsConfig, WordVectorsModel, band
from zoo.nlp.word_vectors import ENTRY

ANIMALS = ("cat", "dog", "horse", "cow")
FRUIT = ("apple", "pear", "plum", "图书")
SAVES = ("--save_steps", 50, "--save_total_limit", 99)
METHODS = ("skipgram", "cbow", "glove")


def documents(count: int = 400) -> list[str]:
    rng = random.Random(3)
    frames = ("the {0} runs over the meadow and the {1} sleeps", "she eats a ripe {0} or a {1} pie")
    kinds = (ANIMALS, FRUIT)
    return [frames[i % 2].format(*rng.sample(kinds[i % 2], 2)) for i in range(count)]


def pretrain(folder: Path, *more: object) -> Done:
    data = folder / "texts.csv"
    if not data.exists():
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_text("text\n" + "".join(f"{text}\n" for text in documents()))
    flags = ("--data", data, "--embedding_size", 16, "--report_to", "none", "--device", "cpu")
    flags += ("--per_device_train_batch_size", 32, "--num_train_epochs", 18, "--subsample", 0)
    return run_cli(ENTRY, "pretrain", *flags, *more)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("vectors")
    for method in METHODS:
        done = pretrain(folder, "--method", method, "--output_dir", folder / method, *SAVES)
        assert done.code == 0, done.err
    return {method: folder / method for method in METHODS}


def predict(folder: Path, *argv: object) -> Done:
    return run_cli(ENTRY, "predict", folder, "--device", "cpu", *argv)


@pytest.mark.parametrize("method", METHODS)
def test_words_of_a_kind_are_near_each_other(checkpoints: dict[str, Path], method: str) -> None:
    done = predict(checkpoints[method], "--word", "Cat", "pear", "--top_k", 30)
    assert done.code == 0, done.err
    for line, word, kinds in zip(
        done.lines, ("Cat", "pear"), ((ANIMALS, FRUIT), (FRUIT, ANIMALS)), strict=True
    ):
        found = json.loads(line)
        cosines = {one["word"]: one["cosine"] for one in found["nearest"]}
        assert list(cosines.values()) == sorted(cosines.values(), reverse=True)
        assert found["word"] == word and word.lower() not in cosines
        same, other = ([cosines[w] for w in kind if w in cosines] for kind in kinds)
        assert min(same) > max(other)
    evaluated = run_cli(ENTRY, "evaluate", checkpoints[method], "--device", "cpu")
    assert evaluated.code == 0 and "neighbour_ranking" in evaluated.out
    line = next(line for line in evaluated.lines if line.startswith("neighbour_ranking"))
    assert float(line.split()[1]) > 0.6


def test_queries_of_several_words(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = checkpoints["skipgram"]
    done = predict(folder, "--word", "cat", "--minus", "meadow", "--plus", "ripe", "the")
    (found,) = map(json.loads, done.lines)
    assert (found["minus"], found["plus"]) == ("meadow", "ripe the")
    near = {one["word"] for one in found["nearest"]}
    assert not near & {"cat", "meadow", "ripe", "the"} and len(near) == 10
    table = tmp_path / "my words.csv"
    table.write_text("word,note\ncat,1\n图书,2\n")
    done = predict(folder, "--file", table)
    assert [json.loads(line)["note"] for line in done.lines] == ["1", "2"]
    loaded = zoo.load(str(folder), device="cpu")
    assert (
        loaded.predict("cat")["nearest"]
        == json.loads(predict(folder, "--word", "cat").out)["nearest"]
    )


def test_queries_of_python(checkpoints: dict[str, Path]) -> None:
    loaded = zoo.load(str(checkpoints["skipgram"]), device="cpu")
    lists = loaded.predict({"word": "cat", "minus": ["meadow"], "plus": ["ripe"]})
    assert loaded.predict({"word": "cat", "minus": "meadow", "plus": "ripe"}) == lists
    none = loaded.predict({"word": "cat", "minus": None})
    assert none["nearest"] == loaded.predict("cat")["nearest"]
    assert loaded.predict(("cat", "pear")) == loaded.predict(["cat", "pear"])
    for wrong in ([("cat", "pear")], {"word": ["cat", "pear"]}, {"word": "cat", "plus": [["cow"]]}):
        with pytest.raises(UserError, match="is no single word: a query has one 'word'"):
            loaded.predict(wrong)


def test_a_small_vocabulary(tmp_path: Path) -> None:
    rest = ("--output_dir", tmp_path / "x", "--max_steps", 1, "--eval_strategy", "no")
    done = pretrain(tmp_path, "--vocab_size", 1, *rest)
    assert done.code == 2 and "--vocab_size 1: at least 2" in done.err.splitlines()[-1]
    done = pretrain(tmp_path, "--vocab_size", 5, *rest)
    assert done.code == 0, done.err
    assert "% of train" in done.err and "are left out: they come once in training" in done.err
    assert json.loads((tmp_path / "x" / "config.json").read_text())["vocab_size"] == 5 + 3


@pytest.mark.parametrize(
    ("head", "row", "form"),
    [
        ("prompt,completion", "a cat,a dog", "completions"),
        ("messages", '"[{""role"": ""user"", ""content"": ""a cat""}]"', "chats"),
    ],
)
def test_data_that_are_no_documents(head: str, row: str, form: str, tmp_path: Path) -> None:
    data = tmp_path / "a.csv"
    data.write_text(f"{head}\n" + f"{row}\n" * 30)
    done = pretrain(tmp_path, "--data", data, "--output_dir", tmp_path / "x")
    assert done.code == 2 and not (tmp_path / "x").exists()
    assert done.err.splitlines()[-1].endswith(
        f"has {form}, and word vectors are learned from documents: name their column "
        "(--text_column)"
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--word", "aple"), "did you mean apple"),
        (("--word", "cat dog"), "no single word"),
        (("--word", ""), "not among"),
        (("--word", "[UNK]"), ""),
        (("--word", "cat", "dog", "--plus", "cow"), "--plus goes with one --word"),
        (("--word", "cat", "--plus", "aple"), "did you mean apple"),
    ],
)
def test_a_word_that_is_not_there(
    checkpoints: dict[str, Path], argv: tuple[str, ...], said: str
) -> None:
    done = predict(checkpoints["cbow"], *argv)
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1
    assert not done.out


def test_resumed_it_is_the_same_to_the_bit(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    whole, again = checkpoints["skipgram"], tmp_path / "again"
    shutil.copytree(whole, again)
    states = sorted((again / "state").glob("step-*"))
    assert len(states) > 3
    for state in states[2:]:
        shutil.rmtree(state)
    done = pretrain(whole.parent, "--output_dir", again, *SAVES, "--resume")
    assert done.code == 0 and "going on at step 100" in done.err, done.err
    last = f"state/{states[-1].name}/weights.safetensors"
    ends = [load_file(folder / last) for folder in (whole, again)]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())


def test_plain_transformers_and_gensims_format(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = checkpoints["glove"]
    done = run_cli(ENTRY, "export", folder, "--runtime", "word2vec")
    assert done.code == 0, done.err
    words, vectors = vector_files.read(Path(done.out.strip()))
    known, expected = pretrained_embeddings.words_of(folder)
    assert words == known and np.array_equal(vectors, expected)
    program = (
        "import sys, zoo.auto; from transformers import pipeline;"
        "p = pipeline('feature-extraction', model=sys.argv[1]);"
        "print(len(p('cat dog')[0]), p('cat dog')[0][0][0])"
    )
    count, first = run_program(program, folder, env={"HF_HUB_OFFLINE": "1"}).out.split()[-2:]
    assert int(count) == 3 and float(first) == pytest.approx(float(vectors[words.index("cat")][0]))
    done = run_cli(ENTRY, "export", folder, "--runtime", "onnx")
    assert done.code == 2 and "word2vec" in done.err


def test_there_is_nothing_to_decide(
    checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["decide", str(checkpoints["glove"])]) == 2
    error = capsys.readouterr().err
    assert "a table and no program" in error and "export it to word2vec" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"2 3\ncat 1 2\n", "line 2: it is no word and 3 numbers"),
        (b"cat 1 2\ndog 1 x\n", "line 2: a part of it is no number"),
        (b"cat 1 nan\n", "line 1: a number of it is not finite"),
        (b"2 2\n\xff\xfe\x00", "line 2: it is not UTF-8"),
    ],
)
def test_what_is_no_file_of_vectors(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "vectors.txt"
    file.write_bytes(content)
    done = rnn(tmp_path, "--embeddings", file, "--tokenizer", "word")
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1


def rnn(folder: Path, *more: object) -> Done:
    data = folder / "kinds.csv"
    rows = [f"{text},{'ab'[i % 2]}\n" for i, text in enumerate(documents(80))]
    data.write_text("text,label\n" + "".join(rows))
    flags = ("--data", data, "--output_dir", folder / "rnn", "--hidden_size", 8, "--max_steps", 2)
    more = ("--report_to", "none", "--device", "cpu", *more)
    return run_cli("zoo.nlp.rnn_cls", "finetune", *flags, *more)


def test_rnn_cls_begins_with_them_frozen(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    text = checkpoints["cbow"] / "word2vec.txt"
    words, vectors = pretrained_embeddings.words_of(checkpoints["cbow"])
    vector_files.write(text, "`file`", words[:5], vectors[:5])
    for given, known in ((checkpoints["cbow"], words), (text, words[:5])):
        flags = ("--embeddings", given, "--tokenizer", "word", "--freeze_embeddings")
        done = rnn(tmp_path, *flags)
        assert done.code == 0, done.err
        assert f"{len(known)} of {len(words) + 3} tokens" in done.err
        folder = tmp_path / "rnn"
        loaded = zoo.load(str(folder), device="cpu")
        own = loaded.model.rnn.embeddings.weight
        ids = loaded.task.processor.convert_tokens_to_ids(known)
        assert torch.equal(own[ids], torch.from_numpy(vectors[: len(known)]))
        assert not own[0].any()
        options = json.loads((folder / "zoo.json").read_text())["config"]["options"]
        assert options["embedding_size"] == 16
        shutil.rmtree(folder)


def test_one_hot_vectors_stay(tmp_path: Path) -> None:
    done = rnn(tmp_path, "--embeddings", "one_hot", "--tokenizer", "word", "--vocab_size", 300)
    assert done.code == 0, done.err
    weight = zoo.load(str(tmp_path / "rnn"), device="cpu").model.rnn.embeddings.weight
    assert torch.equal(weight[1:], torch.eye(len(weight))[1:]) and not weight[0].any()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--embeddings", "nowhere"), "--tokenizer word"),
        (("--embeddings", "nowhere", "--tokenizer", "word"), "no such folder or file"),
        (("--embeddings", "V", "--tokenizer", "word", "--embedding_size", 9), "have 16 numbers"),
        (("--embeddings", "V", "--model", "V"), "--model has its own"),
    ],
)
def test_vectors_that_do_not_fit(
    checkpoints: dict[str, Path], tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    given = [checkpoints["cbow"] if flag == "V" else flag for flag in flags]
    done = rnn(tmp_path, *given)
    assert done.code == 2 and said in done.err, done.err


def test_scores_and_gradients_are_those_of_plain_products() -> None:
    torch.manual_seed(0)
    for method in METHODS:
        model = WordVectorsModel(WordVectorsConfig(vocab_size=30, embedding_size=6, method=method))
        with torch.no_grad():
            model.neighbours.weight[1:].normal_(0, 0.5)
            model.vectors.weight[1:].normal_(0, 0.5)
        contexts, noise = torch.randint(1, 30, (2, 12)), torch.randint(1, 30, (2, 5))
        mask = torch.rand(2, 8, 5) < 0.7
        mask[..., 2] = False
        found = model(contexts=contexts, mask=mask, noise=noise)
        v, u = model.vectors.weight, model.neighbours.weight
        near = torch.zeros(2, 8, 5)
        far = torch.zeros(2, 8, 5)
        for n in range(2):
            for i in range(8):
                word = contexts[n, i + 2]
                around = [contexts[n, i + o] for o in range(5)]
                if method == "cbow":
                    used = [v[c] for c, m in zip(around, mask[n, i], strict=True) if m]
                    mean = torch.stack(used).mean(0) if used else torch.zeros(6)
                    near[n, i, 0] = mean @ u[word]
                    far[n, i] = u[noise[n]] @ mean
                else:
                    near[n, i] = torch.stack([v[word] @ u[c] for c in around])
                    far[n, i] = u[noise[n]] @ v[word]
        weight = torch.rand(2, 8, 5)
        near = near[..., : found.positive.shape[-1]]
        torch.testing.assert_close(found.positive, near)
        torch.testing.assert_close(found.negative, far)
        (near.sin().sum() + (weight * far).sum()).backward()
        expected = v.grad.clone(), u.grad.clone()
        model.zero_grad()
        (found.positive.sin().sum() + (weight * found.negative).sum()).backward()
        torch.testing.assert_close((v.grad, u.grad), expected)


def test_the_band_is_a_view() -> None:
    scores = torch.arange(24.0).view(1, 3, 8)
    assert band(scores, 2).tolist() == [[[0, 1], [9, 10], [18, 19]]]


def test_a_service_has_no_route_for_words(checkpoints: dict[str, Path]) -> None:
    done = run_cli("zoo", "serve", checkpoints["glove"], "--port", 0)
    assert done.code == 2 and "nearest to one" in done.err and "predict" in done.err
