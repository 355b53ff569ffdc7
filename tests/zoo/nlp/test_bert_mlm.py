"""bert_mlm from the command line, and what starts from its checkpoints."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import zoo
from tests.cli import run_cli
from tests.finetuning import Run, finetune
from zoo.nlp.bert_mlm import ENTRY
from zoo.nlp.masked_positions_only import HEADS, compute_only_predicted

SMALL = ("--hidden_size", 32, "--num_layers", 2, "--num_heads", 2, "--vocab_size", 400)
SMALL += ("--token_limit", 64)
SHORT = ("--per_device_train_batch_size", 16, "--logging_steps", 1, "--report_to", "none")
STEPS = 30


def pretrain(data: Path, folder: Path, *flags: object) -> Run:
    words = ("--data", data, "--output_dir", folder, *SMALL, *SHORT, *flags)
    done = run_cli(ENTRY, "pretrain", *words)
    assert done.code == 0, done.err
    return Run(folder, done)


@pytest.fixture(scope="module")
def pretrained(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("mlm") / "run"
    flags = ("--max_steps", STEPS, "--learning_rate", 3e-3, "--save_steps", 10)
    return pretrain(reviews, folder, *flags, "--save_total_limit", 9)


def test_the_loss_falls(pretrained: Run) -> None:
    assert len(pretrained.losses) == STEPS
    assert sum(pretrained.losses[-5:]) < 0.9 * sum(pretrained.losses[:5])
    assert "perplexity" in pretrained.done.out
    assert f"python -m zoo.nlp.bert_cls finetune --model {pretrained.folder}" in pretrained.done.out


def test_resume_gives_the_same_bits(pretrained: Run, reviews: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(pretrained.folder, again)
    for state in (again / "state").glob("step-*"):
        if int(state.name.removeprefix("step-")) > 10:
            shutil.rmtree(state)
    flags = ("--max_steps", STEPS, "--learning_rate", 3e-3, "--save_steps", 10)
    run = pretrain(reviews, again, *flags, "--save_total_limit", 9, "--resume")
    assert "going on at step 10" in run.done.err
    assert run.losses == pretrained.losses
    states = [
        load_file(f / f"state/step-{STEPS:08}/weights.safetensors")
        for f in (pretrained.folder, again)
    ]
    assert set(states[0]) == set(states[1])
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_evaluation_masks_alike_every_time(pretrained: Run) -> None:
    outs = [run_cli(ENTRY, "evaluate", pretrained.folder, "--mistakes", 2) for _ in range(2)]
    assert all(done.code == 0 for done in outs)
    lines = [
        [line for line in done.lines if line.startswith(("perplexity", "masked"))] for done in outs
    ]
    assert lines[0] == lines[1] and len(lines[0]) == 2


def test_predict_is_transformers_pipeline(pretrained: Run) -> None:
    from transformers import pipeline

    texts = ["the [MASK] was wonderful", "the film was [MASK] [MASK]"]
    done = run_cli(ENTRY, "predict", pretrained.folder, "--text", *texts, "--device", "cpu")
    assert done.code == 0, done.err
    ours = [json.loads(line)["guesses"] for line in done.lines]
    fill = pipeline("fill-mask", model=str(pretrained.folder), device="cpu")
    for text, mine in zip(texts, ours, strict=True):
        theirs = fill(text)
        theirs = theirs if isinstance(theirs[0], list) else [theirs]
        assert len(mine) == len(theirs) == text.count("[MASK]")
        for a, b in zip(mine, theirs, strict=True):
            assert [x["token"] for x in a] == [x["token"] for x in b]
            assert [x["token_str"] for x in a] == [x["token_str"] for x in b]
            assert [x["score"] for x in a] == pytest.approx([x["score"] for x in b], abs=1e-6)


def test_a_text_without_a_mask_is_a_users_mistake(pretrained: Run) -> None:
    done = run_cli(ENTRY, "predict", pretrained.folder, "--text", "the film")
    assert done.code == 2 and "has no [MASK]" in done.err


def test_bert_cls_starts_from_the_very_weights(
    pretrained: Run, reviews: Path, tmp_path: Path
) -> None:
    flags = ("--max_steps", 1, "--learning_rate", 0)
    started = finetune(pretrained.folder, reviews, tmp_path / "a", *flags)
    assert "initialized" not in started.done.err and "MISSING" not in started.done.err
    theirs, ours = pretrained.weights(), started.weights()
    shared = [name for name in theirs if name.startswith("bert.")]
    assert len(shared) > 30
    assert all(torch.equal(ours[name], theirs[name]) for name in shared)
    scratch = finetune(pretrained.folder, reviews, tmp_path / "b", *flags, "--from_scratch")
    new = scratch.weights()
    assert {n: t.shape for n, t in new.items()} == {n: t.shape for n, t in ours.items()}
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(new[name], theirs[name])
    assert scratch.manifest["source"]["model"] is None
    assert scratch.manifest["source"]["shape"] == str(pretrained.folder)
    assert scratch.steps == started.steps


def test_pretraining_goes_on_from_a_checkpoint(
    pretrained: Run, reviews: Path, tmp_path: Path
) -> None:
    flags = ("--model", pretrained.folder, "--max_steps", 1, "--learning_rate", 0)
    run = pretrain(reviews, tmp_path / "more", *flags)
    theirs, ours = pretrained.weights(), run.weights()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert run.losses[0] < pretrained.losses[0]


def test_an_encoder_without_a_head_is_taken(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    run = pretrain(reviews, tmp_path / "run", "--model", tiny_bert, "--max_steps", 2)
    assert run.manifest["source"]["model"] == str(tiny_bert)


@pytest.mark.parametrize(
    "flags",
    [
        ("--num_heads", 3),
        ("--num_layers", 0),
        ("--vocab_size", 100),
        ("--token_limit", 3),
        ("--mlm_probability", 0),
        ("--max_length", 65),
    ],
    ids=str,
)
def test_what_makes_no_network_is_named(flags: tuple, reviews: Path, tmp_path: Path) -> None:
    words = ("--data", reviews, "--output_dir", tmp_path / "x", *SMALL, *SHORT, *flags)
    done = run_cli(ENTRY, "pretrain", *words)
    assert done.code == 2 and flags[0] in done.err and len(done.err.splitlines()) == 1


def test_verbs_are_the_entrys_own(tmp_path: Path) -> None:
    overview = run_cli(ENTRY, "--help").out
    assert "pretrain" in overview and "finetune " not in overview
    done = run_cli(ENTRY, "finetune")
    assert done.code == 2 and "no verb 'finetune'" in done.err
    done = run_cli("zoo.nlp.bert_cls", "pretrain")
    assert done.code == 2 and "no verb 'pretrain'" in done.err


def tiny(kind: str):
    import transformers

    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        pad_token_id=0,
        **(
            {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
            if kind == "distilbert"
            else {}
        ),
        **({"cls_token_id": 1, "sep_token_id": 2} if kind == "modernbert" else {}),
    )
    torch.manual_seed(0)
    return transformers.AutoModelForMaskedLM.from_config(config).eval()


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_only_what_is_asked_is_computed_and_it_is_the_same(kind: str) -> None:
    model = tiny(kind)
    ids = torch.randint(5, 60, (3, 11), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    with torch.no_grad():
        whole = model(input_ids=ids, attention_mask=mask).logits
        compute_only_predicted(model)
        places = torch.tensor([0, 7, 20, 32])
        some = model(input_ids=ids, attention_mask=mask, predicted=places).logits
        plain = model(input_ids=ids, attention_mask=mask).logits
    assert some.shape == (4, 60)
    torch.testing.assert_close(some, whole.flatten(0, 1)[places], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(plain, whole)


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_a_copy_computes_with_its_own_weights(kind: str) -> None:
    """Proofs compare with a copy in float64."""
    model = tiny(kind)
    compute_only_predicted(model)
    exact = copy.deepcopy(model).double()
    ids, places = torch.tensor([[5, 6, 7]]), torch.tensor([1])
    with torch.no_grad():
        assert exact(input_ids=ids).logits.dtype == torch.float64
        assert exact(input_ids=ids, predicted=places).logits.shape == (1, 60)
        assert model(input_ids=ids).logits.dtype == torch.float32


def test_a_loaded_checkpoint_is_plain_transformers(pretrained: Run) -> None:
    from transformers import AutoModelForMaskedLM

    model, report = AutoModelForMaskedLM.from_pretrained(
        pretrained.folder, output_loading_info=True
    )
    assert type(model).__name__ == "BertForMaskedLM"
    assert not report["missing_keys"] and not report["unexpected_keys"]
    output, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    assert output.weight is embedding.weight
    assert zoo.load(str(pretrained.folder), device="cpu").predict(["a [MASK]"])[0]["label"]


def test_bf16_trains_beside_fp32(reviews: Path, tmp_path: Path) -> None:
    """The output layer shares the embedding's weight, which stays fp32 where the rest is bf16."""
    flags = ("--max_steps", 3, "--dropout", 0)
    runs = [pretrain(reviews, tmp_path / d, *flags, "--dtype", d) for d in ("fp32", "bf16")]
    assert runs[0].losses == pytest.approx(runs[1].losses, rel=0.01)
