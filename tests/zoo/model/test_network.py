"""What every network of the zoo offers, and how a model is put together for some data."""

import dataclasses
from typing import Any

import datasets
import pytest

from tasks.nlp.text_classification import Args, TextClassification
from zoo.model import registry
from zoo.model.network import Network, assemble, network_of
from zoo.nlp import rnn_cls

TASK = TextClassification(Args(), ("negative", "positive"), "single_label_classification")
TEXTS = datasets.DatasetDict(
    {"train": datasets.Dataset.from_dict({"text": ["a good film", "a dull film"] * 4})}
)
OPTIONS = rnn_cls.Options(vocab_size=300, embedding_size=8, hidden_size=8, token_limit=12)


@pytest.mark.parametrize("entry", registry.entries(), ids=lambda entry: entry.name)
def test_every_model_has_its_network(entry: Any) -> None:
    import transformers

    network = network_of(entry)
    assert isinstance(network, Network)
    assert network is network_of(dataclasses.replace(entry)), "one object a module"
    assert hasattr(transformers, network.auto_class)
    linear = entry.modality == "zoo.nlp.modality" or entry.name.startswith("mlp_")
    usual = ("dynamic", "static") if linear else ("static",)
    # a text is what it is alone, whatever its batch
    writes = {"gpt_lm": ("static", "weight-only"), "t5_seq2seq": ("weight-only",)}
    assert network.quantization_methods == writes.get(entry.name, usual)
    has_stages = type(network).stages is not Network.stages
    assert has_stages == (entry.name in ("gpt_lm", "t5_seq2seq", "whisper_asr"))


def test_an_assembly_has_a_processor_of_the_data_and_a_task_bound_to_it() -> None:
    made = assemble(rnn_cls.ENTRY, OPTIONS, TASK, TEXTS)
    assert {"good", "dull"} <= {token.lstrip("Ġ") for token in made.processor.get_vocab()}
    assert made.task.args.max_length == 12 == made.network.max_length(OPTIONS, None, made.entry)
    assert TASK.args.max_length is None, "the task that was given stays as it was"
    model, source = made.build()
    assert model.config.vocab_size == len(made.processor) and model.config.num_labels == 2
    assert source == {"model": None, "license": None}


def test_a_checkpoints_processor_is_taken_as_it_is() -> None:
    before = assemble(rnn_cls.ENTRY, OPTIONS, TASK, TEXTS)
    others = datasets.DatasetDict(
        {"train": datasets.Dataset.from_dict({"text": ["quite another thing"] * 8})}
    )
    after = assemble(rnn_cls.ENTRY, OPTIONS, TASK, others, before.processor)
    assert after.processor is before.processor and after.task == before.task
