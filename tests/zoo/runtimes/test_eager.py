"""PyTorch as it is, where it generates: arrays in, tokens out, in the place of a network too."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.zoo.generation.networks import inputs_of, network, of_transformers, trimmed
from zoo.generation.generate import sequences
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.eager import EagerGenerativeRunner
from zoo.runtimes.runner_model import RunnerModel
from zoo.runtimes.signature import Signature, TensorSpec
from zoo.runtimes.torch_runner import TorchRunner

MAIN = {"gpt2": "input_ids", "bart": "input_ids", "speech_to_text": "input_features"}


def _runner(model: torch.nn.Module, main: str, numerics: str = "fp32") -> EagerGenerativeRunner:
    rank = 3 if main == "input_features" else 2
    port = TensorSpec(main, "int64" if rank == 2 else "float32", ("batch", "length", 8)[:rank])
    signature = Signature((port,), ("logits",), {"batch": (1, None)})
    return EagerGenerativeRunner(
        TorchRunner(model, Deployment("eager", numerics), signature, "cpu", None)
    )


@pytest.mark.parametrize("kind", MAIN)
def test_padded_batches_with_their_mask(kind: str) -> None:
    model, inputs = network(kind), inputs_of(kind)
    theirs = of_transformers(model, inputs)
    runner = _runner(model, MAIN[kind])
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    assert trimmed(sequences(runner, arrays)) == theirs
    main, mask = inputs[MAIN[kind]], inputs["attention_mask"]
    placed = RunnerModel(runner, Path("nowhere"))
    assert trimmed(placed.generate(main, attention_mask=mask).numpy()) == theirs
    assert trimmed(placed.generate(main).numpy()) != theirs, "the mask makes no difference"


def test_it_computes_in_its_numerics() -> None:
    """With weights in bfloat16, or under autocast: as the network itself, and float32 comes out."""
    inputs = inputs_of("bart")
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    prefix = torch.ones(5, 1, dtype=torch.long)
    found = []
    for numerics in ("fp32", "bf16", "autocast-bf16"):
        model = network("bart").bfloat16() if numerics == "bf16" else network("bart")
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, numerics == "autocast-bf16"):
            wanted = model(**inputs, decoder_input_ids=prefix).logits[:, -1].float().numpy()
        found.append(_runner(model, "input_ids", numerics).start(arrays).logits)
        assert found[-1].dtype == np.float32
        np.testing.assert_array_equal(found[-1], wanted)
    assert len({logits.tobytes() for logits in found}) == 3
