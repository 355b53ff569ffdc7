"""gpt_lm on prompts and chats, from the command line: trained, measured, and asked."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tasks.errors import UserError
from tests.cli import run_cli
from tests.finetuning import Run
from tests.tasks.nlp import chat_tokenizers as made
from tests.tiny_models import GPT
from zoo.nlp import chat_tokenizer
from zoo.nlp.gpt_lm import ENTRY, Options

EXACT = ("--report_to", "none", "--dtype", "fp32", "--warmup_steps", 0)
EXACT += ("--eval_strategy", "steps", "--eval_steps", 30)
THINGS = ("cat", "dog", "car", "tree", "book", "house", "hat", "sun")
COLOURS = ("red", "blue", "green", "old", "new")


def train(verb: str, data: Path, folder: Path, *flags: object) -> Run:
    done = run_cli(ENTRY, verb, "--data", data, "--output_dir", folder, *EXACT, *flags)
    assert done.code == 0, done.err
    return Run(folder, done)


def refused(verb: str, *flags: object) -> str:
    done = run_cli(ENTRY, verb, *flags)
    assert done.code == 2 and "Traceback" not in done.err
    return done.err.splitlines()[-1]


def written(folder: Path, *flags: object) -> list[dict[str, Any]]:
    done = run_cli(ENTRY, "predict", folder, "--device", "cpu", *flags)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines]


def chat(thing: str, colour: str) -> list[dict[str, str]]:
    question = {"role": "user", "content": f"a {colour} {thing}?"}
    return [question, {"role": "assistant", "content": f"the {thing}"}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with chats.jsonl and pairs.csv of the same questions."""
    folder = tmp_path_factory.mktemp("answers")
    rows = [(thing, colour) for colour in COLOURS for thing in THINGS] * 2
    lines = [json.dumps({"messages": chat(*row)}) + "\n" for row in rows]
    (folder / "chats.jsonl").write_text("".join(lines))
    lines = [f"a {colour} {thing}?,the {thing}\n" for thing, colour in rows]
    (folder / "pairs.csv").write_text("question,answer\n" + "".join(lines))
    return folder


@pytest.fixture(scope="module")
def chatting(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("chat") / "run"
    return train(
        "pretrain", data / "chats.jsonl", folder, *GPT, "--max_steps", 60, "--learning_rate", 2e-2
    )


def test_answers_are_learned_and_end(chatting: Run) -> None:
    assert "chats in 'messages'; what the assistant says is learned and" in chatting.done.err
    assert "--prompt 'What is a package?'" in chatting.done.out
    found = written(chatting.folder, "--prompt", "a red cat?", "a new tree?", "")
    assert [one["finish_reason"] for one in found] == ["stop"] * 3
    assert [one["text"][:3] for one in found[:2]] == ["the"] * 2
    raw = written(chatting.folder, "--prompt", "a red cat?", "--chat", "off")
    assert raw[0]["text"] != found[0]["text"]


def test_plain_transformers_answers_the_same(chatting: Run) -> None:
    from transformers import pipeline

    write = pipeline("text-generation", model=str(chatting.folder), device="cpu")
    for thing in THINGS[:3]:
        [question, _] = chat(thing, "blue")
        [ours] = written(chatting.folder, "--prompt", question["content"])
        [theirs] = write([question], do_sample=False)
        assert theirs["generated_text"][-1] == {"role": "assistant", "content": ours["text"]}


def test_chats_of_files_and_of_python_are_answered(chatting: Run, data: Path) -> None:
    question = chat("car", "old")[:1]
    [expected] = written(chatting.folder, "--prompt", "a old car?")
    file = data / "ask.jsonl"
    rows = [
        {"n": 1, "messages": question},
        {"n": 2, "messages": chat("car", "old")},
        {"n": 3, "messages": [*chat("cat", "red"), *question]},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run_cli(ENTRY, "predict", chatting.folder, "--file", file)
    found = [json.loads(line) for line in done.lines]
    assert [one["n"] for one in found] == [1, 2, 3]
    assert found[0]["text"] == found[1]["text"] == expected["text"]
    assert [one["prompt"] for one in found] == ["a old car?"] * 3
    assert done.err.count("the last of a chat is written anew") == 1
    model = zoo.load(chatting.folder, device="cpu")
    for asked in (question, {"messages": question}, "a old car?"):
        assert model.predict(asked)["text"] == expected["text"]
    assert "".join(model.write(question)) == expected["text"]
    with pytest.raises(UserError, match="the chat ends with the assistant's answer"):
        model.predict(chat("car", "old"))
    with pytest.raises(UserError, match="'messages' wants a list of messages"):
        model.predict({"messages": "hello"})
    with pytest.raises(UserError, match=r"has 9\d\d tokens, and what this model sees"):
        model.predict([{"role": "user", "content": "a" * 900}])


def test_an_evaluation_measures_answers(chatting: Run, data: Path, tmp_path: Path) -> None:
    def measured(*flags: object) -> dict[str, Any]:
        done = run_cli(ENTRY, "evaluate", chatting.folder, "--json", *flags)
        assert done.code == 0, done.err
        return json.loads(done.out)["metrics"]["bits_per_byte"]

    assert measured()["n"] == 8
    renamed = tmp_path / "other.jsonl"
    rows = [{"conversations": chat("cat", "old")}] * 3
    renamed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert measured("--data", renamed)["n"] == 3
    line = refused("evaluate", chatting.folder, "--data", data / "pairs.csv")
    assert "has no 'messages', which training read as chats" in line


def test_going_on_with_documents_and_back(chatting: Run, data: Path, tmp_path: Path) -> None:
    """Of prompts, then of chats again; the vocabulary does not grow twice."""
    flags = ("--max_steps", 2, "--model")
    pairs = train("finetune", data / "pairs.csv", tmp_path / "pairs", *flags, chatting.folder)
    assert "prompts in 'question', completions in 'answer'" in pairs.done.err
    assert pairs.manifest["config"]["task"]["args"]["separator"] == "\n"
    again = train("finetune", data / "chats.jsonl", tmp_path / "chats", *flags, pairs.folder)
    assert "tokens are new" not in again.done.err
    embedding = "transformer.wte.weight"
    assert again.weights()[embedding].shape == chatting.weights()[embedding].shape


def test_prompts_end_as_in_training(data: Path, tmp_path: Path) -> None:
    flags = (*GPT, "--max_steps", 60, "--learning_rate", 2e-2)
    run = train("pretrain", data / "pairs.csv", tmp_path / "run", *flags)
    [one] = written(run.folder, "--prompt", "a red cat?")
    assert one["text"].startswith("the ") and one["finish_reason"] == "stop"
    [raw] = written(run.folder, "--prompt", "a red cat?\n", "--chat", "off")
    assert raw["text"] == one["text"]
    first, *_ = written(run.folder, "--file", data / "pairs.csv")
    assert first["prompt"] == "a red cat?" and first["text"] == one["text"]
    assert "has no chat template" in refused("predict", run.folder, "--prompt", "a", "--chat", "on")


def network(kind: str, folder: Path, tokenizer: Any) -> Path:
    """The folder of random weights of another architecture."""
    import transformers

    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 32}
    shape = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    more = {"head_dim": 16} if kind == "Qwen3" else {}
    config = getattr(transformers, f"{kind}Config")(
        **size, **shape, **more, max_position_embeddings=96, tie_word_embeddings=kind == "Qwen2",
        bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Qwen3"])
def test_adapters_of_other_decoders_are_merged(kind: str, data: Path, tmp_path: Path) -> None:
    """The tokens of ChatML are new to them, and learned beside the adapters."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    tokenizer = made.with_template(None)
    base = network(kind, tmp_path / "base", tokenizer)
    line = refused("finetune", "--data", data / "chats.jsonl", "--model", base)
    assert "has no chat template: name the file of one (--chat_template FILE)" in line
    run = train(
        "finetune", data / "chats.jsonl", tmp_path / "run", "--model", base, "--tune", "lora",
        "--chat_template", "chatml", "--max_steps", 3, "--learning_rate", 1e-2,
    )  # fmt: skip
    assert "2 tokens are new: <|im_start|>, <|im_end|>" in run.done.err
    weights = run.weights()
    assert not any("lora" in name or "token_adapter" in name for name in weights)
    merged = AutoModelForCausalLM.from_pretrained(run.folder)
    plain = AutoModelForCausalLM.from_pretrained(base)
    known = AutoTokenizer.from_pretrained(run.folder)
    assert merged.lm_head.weight.shape[0] == len(known)
    old = len(tokenizer)
    assert torch.equal(merged.lm_head.weight[:old], plain.lm_head.weight), "it is pretrained"
    plain.resize_token_embeddings(len(known))
    adapted = PeftModel.from_pretrained(plain, run.folder / "adapter").eval()
    asked = known.apply_chat_template(
        chat("cat", "red")[:1], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.no_grad():
        one, other = merged(**asked).logits, adapted(**asked).logits
    torch.testing.assert_close(one, other)
    [ours] = written(run.folder, "--prompt", "a red cat?", "--max_new_tokens", 8)
    write = pipeline("text-generation", model=str(run.folder), device="cpu")
    [theirs] = write(chat("cat", "red")[:1], do_sample=False, max_new_tokens=8)
    assert theirs["generated_text"][-1]["content"] == ours["text"]


@pytest.mark.parametrize(("spare", "rows"), [(0, 2), (1, 2), (40, 40)])
@pytest.mark.parametrize("tied", [False, True])
def test_new_tokens_take_spare_rows(
    spare: int, rows: int, tied: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A vocabulary may be padded, as Pythia's and Qwen's are: new tokens are new there, too."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = made.with_template(None)
    old, shape = len(tokenizer), {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    model = LlamaForCausalLM(
        LlamaConfig(
            **shape, vocab_size=old + spare, num_attention_heads=1, tie_word_embeddings=tied
        )
    )
    known = [model.get_input_embeddings().weight[:old], model.lm_head.weight[:old]]
    known = [rows.detach().clone() for rows in known]
    chat_tokenizer.make_room(model, tokenizer, "the model")
    assert not hasattr(model, "new_tokens") and not capsys.readouterr().err
    tokenizer = chat_tokenizer.prepare(tokenizer, Options(chat_template="chatml"), "chats")
    chat_tokenizer.make_room(model, tokenizer, "the model")
    assert model.new_tokens == (old, old + 1)
    assert capsys.readouterr().err == "the model: 2 tokens are new: <|im_start|>, <|im_end|>\n"
    for layer, before in zip((model.get_input_embeddings(), model.lm_head), known, strict=True):
        assert len(layer.weight) == old + rows and torch.equal(layer.weight[:old], before)
        taken = layer.weight[old : old + min(spare, 2)]
        torch.testing.assert_close(taken, before.mean(0).expand_as(taken))
    again = chat_tokenizer.prepare(tokenizer, Options(chat_template="chatml"), "chats")
    assert again.new_tokens == (), "it has them"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("nowhere.jinja", "--chat_template nowhere.jinja can't be read"),
        (made.NEVER_ENDS, "no special token behind an answer"),
        ("{{ messages[", "the chat template refuses it"),
        ("", "has 0 characters: that is no template"),
    ],
    ids=["missing", "endless", "syntax", "empty"],
)
def test_a_template_of_ones_own(
    template: str, said: str, chatting: Run, data: Path, tmp_path: Path
) -> None:
    name = template
    if not template.endswith(".jinja"):
        name = tmp_path / "chat.jinja"
        name.write_text(template)
    flags = ("--model", chatting.folder, "--chat_template", name)
    assert said in refused("finetune", "--data", data / "chats.jsonl", *flags)
    if not template:
        line = refused("finetune", "--data", data / "pairs.csv", *flags)
        assert "writes chats, and these data are completions" in line


def test_a_template_in_a_file_is_kept(chatting: Run, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "a b.jinja"
    file.write_text(made.MISTRAL)
    flags = ("--model", chatting.folder, "--chat_template", file, "--max_steps", 1)
    run = train("finetune", data / "chats.jsonl", tmp_path / "run", *flags)
    assert (run.folder / "chat_template.jinja").read_text() == made.MISTRAL
    assert run.manifest["config"]["task"]["end"] == 0
    assert written(run.folder, "--prompt", "a red cat?", "--max_new_tokens", 2)
