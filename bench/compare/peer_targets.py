"""What people would run in place of this project: raw texts in, answers out, as each is documented.

Each function makes a call without arguments on a file of raw texts (JSON, a list), and the labels
or texts that it gave are kept in `answers`, so that it is seen that all say the same.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

LONGEST = 512  # tokens, where a tokenizer does not say


class Peer:
    """A call to measure, and the answers that it gave last."""

    def __init__(self, predict: Callable[[], Sequence[str]]) -> None:
        self.predict = predict
        self.answers: Sequence[str] = ()

    def call(self) -> None:
        """Once over all texts, as one batch."""
        self.answers = self.predict()


def zoo(
    checkpoint: str, texts: str, deployment: str, threads: int, settings: Mapping[str, Any]
) -> Peer:
    """Return this project's call: `zoo.load(checkpoint, deployment).predict(texts)`.

    Args:
        settings: of a model that goes on with texts, as `predict` takes them. It takes them as they
            stand, without a chat template, as its rivals do.
    """
    import torch

    from tasks.writes import Writes
    from zoo import load
    from zoo.speedups import allocator

    torch.set_num_threads(threads)
    allocator.keep_freed_memory()
    given, model = _read(texts), load(checkpoint, deployment=deployment, device="cpu")
    if isinstance(model.task, Writes):
        model.task = model.task.as_it_stands()

    def predict() -> list[str]:
        found = model.predict(given, batch_size=len(given), **settings)
        return [each.get("label", each.get("text")) for each in found]

    return Peer(predict)


def generate(
    checkpoint: str,
    texts: str,
    threads: int,
    prefix: str = "",
    max_length: int | None = None,
    **lengths: int,
) -> Peer:
    """Tokenizer of transformers, and `generate` of its model on the whole list, padded.

    Args:
        prefix: stands before every text.
        max_length: tokens of an encoder's text, which is cut.
        lengths: `max_new_tokens` and `min_new_tokens`; by default as the checkpoint says.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    torch.set_num_threads(threads)
    given, tokenizer = [prefix + text for text in _read(texts)], _tokenizer(checkpoint)
    has_encoder = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False).is_encoder_decoder
    kind: Any = AutoModelForSeq2SeqLM if has_encoder else AutoModelForCausalLM
    model = kind.from_pretrained(checkpoint, trust_remote_code=False).eval()
    how: dict[str, Any] = {"padding": True, "return_tensors": "pt", "return_token_type_ids": False}
    if has_encoder:
        how |= {"truncation": max_length is not None, "max_length": max_length}
    else:
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    def predict() -> list[str]:
        rows = tokenizer(given, **how)
        tokens = model.generate(**rows, do_sample=False, **lengths)
        behind = 0 if has_encoder else rows["input_ids"].shape[1]
        found: list[str] = tokenizer.batch_decode(tokens[:, behind:], skip_special_tokens=True)
        return found

    return Peer(predict)


def pipeline(checkpoint: str, texts: str, threads: int) -> Peer:
    """`transformers.pipeline`, the whole list as a batch."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    given = _read(texts)
    classify = transformers.pipeline(
        "text-classification",
        model=checkpoint,
        device="cpu",
        batch_size=len(given),
        trust_remote_code=False,
    )
    return Peer(lambda: [each["label"] for each in classify(given, truncation=True)])


def compiled(checkpoint: str, texts: str, threads: int) -> Peer:
    """Tokenizer and model of transformers, with plain `torch.compile(model)`."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(threads)
    given, tokenizer = _read(texts), _tokenizer(checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, trust_remote_code=False
    ).eval()
    program: Any = torch.compile(model)
    names = model.config.id2label

    def predict() -> list[str]:
        with torch.inference_mode():
            logits = program(**tokenizer(given, **_padded("pt"))).logits
        return [names[each] for each in logits.argmax(-1).tolist()]

    return Peer(predict)


def onnxruntime(checkpoint: str, texts: str, threads: int, artifact: str) -> Peer:
    """Tokenizer of transformers and a plain `onnxruntime.InferenceSession` on the fp32 export."""
    import onnxruntime as ort
    from transformers import AutoConfig

    given, tokenizer = _read(texts), _tokenizer(checkpoint)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(
        str(Path(artifact) / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    wanted = [each.name for each in session.get_inputs()]
    names = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False).id2label

    def predict() -> list[str]:
        rows = tokenizer(given, **_padded("np"))
        (logits,) = session.run(["logits"], {name: rows[name] for name in wanted})
        return [names[int(each)] for each in logits.argmax(-1)]

    return Peer(predict)


def answers(function: str, kwargs: dict[str, Any]) -> list[str]:
    """Return the answers that a peer gives to the texts, without blanks around them, which some
    tokenizers keep in front of a first word; called in a process of its own."""
    peer: Peer = globals()[function](**kwargs)
    peer.call()
    return [answer.strip() for answer in peer.answers]


def _read(texts: str) -> list[str]:
    found: list[str] = json.loads(Path(texts).read_text())
    return found


def _tokenizer(checkpoint: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)


def _padded(kind: str) -> dict[str, Any]:
    return {"padding": True, "truncation": True, "max_length": LONGEST, "return_tensors": kind}
