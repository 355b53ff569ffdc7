"""What plain transformers, PEFT and accelerate may expect of every network of ours.

The networks are those that zoo.auto registers: one that is added there is tested here.
"""

import copy
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo.auto

# isort: split
import transformers
from safetensors.torch import load_file, save_file
from transformers import PreTrainedConfig, PreTrainedModel

from zoo.model.modeling import ZooPreTrainedModel

SMALL: dict[str, Any] = {
    "vocab_size": 50,
    "embedding_size": 12,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_mel_bins": 16,
    "subsampling_channels": 4,
    "stem_channels": (4, 8),
    "conv_kernel_size": 3,
    "kernel_size": 3,
    "widths": (8, 16),
    "hidden_sizes": (16, 12),
    "image_size": 16,
    "depth": 2,
    "decoder_size": 24,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "latent_size": 4,
    "hidden_dropout_prob": 0.0,
    "num_labels": 3,
    "head_layers": 1,
    "backbone_args": {"channels": (8, 8, 8, 8), "layers": (1, 1, 1, 1), "stem_width": 4}
    | {"stem_type": "deep", "norm_layer": "groupnorm1"},
}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "zoo_cnn": {
        "group": {"norm": "group"},
        "elu": {"hidden_act": "elu", "initialization": "xavier"},
    },
    "zoo_conformer": {"tanh": {"hidden_act": "tanh", "initialization": "he"}},
    "zoo_kws": {"relu": {"hidden_act": "relu", "initialization": "normal"}},
    "zoo_mae": {
        "scaled": {"architecture": "deit3_small_patch16_224"},
        "normal": {"initialization": "normal"},
    },
    "zoo_ddpm": {"labels": {"num_class_embeds": 4, "blocks_per_size": 2, "initialization": "he"}},
    "zoo_vae": {"grey": {"num_channels": 1, "initialization": "normal"}},
    "zoo_mlp": {
        "linear": {"hidden_sizes": ()},
        "grey": {"num_channels": 1, "hidden_act": "tanh", "initialization": "xavier"},
    },
    "zoo_unet": {
        "strided": {"stem_stride": 2, "norm": "group"},
        "elu": {"hidden_act": "elu", "initialization": "xavier"},
    },
    "zoo_stream": {"stacked": {"stacked_frames": 3, "chunk_frames": 6, "initialization": "he"}},
    "zoo_rnn": {
        "gru": {"cell": "gru", "pooling": "last"},
        "he": {"initialization": "he"},
        "relu": {"cell": "rnn", "hidden_act": "relu"},
        "heads": {"pooling": "multi_head", "attention_heads": 2},
    },
}
"""Other shapes of a network, which have other weights."""

CLASSES = [
    kind
    for kind in vars(zoo.auto).values()
    if inspect.isclass(kind)
    and issubclass(kind, PreTrainedModel)
    and kind.__module__.startswith("zoo.")
]
BASES = [kind for kind in CLASSES if kind.__name__.endswith("Model")]
HEADS = [kind for kind in CLASSES if kind not in BASES]
CASES = [
    pytest.param(
        kind,
        changes,
        id="-".join(filter(None, (kind.__name__, name))),
        marks=[pytest.mark.slow] if name == "scaled" else [],
    )
    for kind in HEADS
    for name, changes in {"": {}, **VARIANTS.get(kind.config_class.model_type, {})}.items()
]
named = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
heads = pytest.mark.parametrize("kind", HEADS, ids=lambda kind: kind.__name__)


def config_of(kind: type, **changes: Any) -> PreTrainedConfig:
    default = kind.config_class()
    shape = {name: value for name, value in (SMALL | changes).items() if hasattr(default, name)}
    return kind.config_class(**shape)


def model_of(kind: type, seed: int = 0, **changes: Any) -> Any:
    torch.manual_seed(seed)
    return kind(config_of(kind, **changes)).eval()


def trained(kind: type, **changes: Any) -> Any:
    """A model whose every weight and statistic is none that it began with."""
    model = model_of(kind, **changes)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.add_(9 if tensor.dtype == torch.long else 0.1 * noise + 0.01)
    return model


def inputs_of(model: Any, lengths: tuple[int, ...] = (24, 9, 17)) -> dict[str, Tensor]:
    """Inputs of three rows; those of a sequence are padded on the right."""
    config, generator = model.config, torch.Generator().manual_seed(3)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    rows = len(lengths)
    if model.main_input_name == "pixel_values":
        size = (rows, config.num_channels, config.image_size, config.image_size)
        inputs = {"pixel_values": torch.randn(size, generator=generator)}
        if "shuffle" in inspect.signature(model.forward).parameters:
            patches = (config.image_size // config.patch_size) ** 2
            noise = torch.rand(rows, patches, generator=generator)
            inputs["shuffle"] = noise.argsort(1)
        if "noise" in inspect.signature(model.forward).parameters:
            latents = getattr(config, "latent_size", None)
            size = size if latents is None else (rows, latents)
            inputs["noise"] = torch.randn(size, generator=generator)
        return inputs
    if model.main_input_name == "features":
        return {"features": torch.randn(rows, config.num_features, generator=generator)}
    if model.main_input_name == "input_ids":
        ids = torch.randint(3, config.vocab_size, mask.shape, generator=generator)
        return {"input_ids": ids * mask, "attention_mask": mask}
    assert model.main_input_name == "input_features", "say here how its inputs are made"
    features = torch.randn(*mask.shape, config.num_mel_bins, generator=generator)
    return {"input_features": features * mask.unsqueeze(-1), "attention_mask": mask}


def labels_of(model: Any) -> dict[str, Any]:
    if "labels" not in inspect.signature(model.forward).parameters:
        return {}
    if type(model).__name__.endswith("ForSemanticSegmentation"):
        pixels = torch.arange(3 * model.config.image_size**2) % 4  # 3: ignored, as 255 is
        shape = (3, model.config.image_size, model.config.image_size)
        return {"labels": pixels.masked_fill(pixels == 3, 255).view(shape)}
    if type(model).__name__.endswith("ForObjectDetection"):
        box = {"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.6, 0.8]])}
        return {"labels": [box] * 3}
    if type(model).__name__.endswith("ForCTC"):
        return {"labels": torch.tensor([[1, 2], [3, -100], [4, 1]])}
    return {"labels": torch.tensor([0, 1, 2])}


def result(model: Any, **inputs: Any) -> Tensor:
    """Logits, of a detector beside boxes and centerness, or a base's states."""
    with torch.no_grad():
        output = model(**(inputs or inputs_of(model)))
    if "boxes_xyxy" in output:
        parts = [output.logits, output.boxes_xyxy, output.centerness]
        return torch.cat(parts, -1).to(output.logits.dtype)
    return output.logits if "logits" in output else output.last_hidden_state


def in_dtype(inputs: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: x.to(dtype) if x.is_floating_point() else x for name, x in inputs.items()}


def test_all_networks_are_found() -> None:
    registered = {c for c in vars(zoo.auto).values() if getattr(c, "model_type", "")}
    assert {kind.config_class for kind in CLASSES} == registered and len(registered) >= 5
    assert all(issubclass(kind, ZooPreTrainedModel) for kind in CLASSES)
    assert len(BASES) == len(HEADS) == len(registered)


@pytest.fixture
def empty_memory_is_nan() -> Iterator[None]:
    """What torch.empty gives is nan, and the largest whole number; what is missing isn't logged."""
    torch.use_deterministic_algorithms(True)
    assert torch.empty(9).isnan().all()
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(verbosity)
    torch.use_deterministic_algorithms(False)


def agrees(name: str, found: Tensor, fresh: Tensor, *others: Tensor) -> None:
    """Whether a tensor begins as in new models: where these are all the same, it is as well."""
    fixed = torch.stack([fresh == other for other in others]).all(0)
    assert torch.equal(found[fixed], fresh[fixed]), name
    if not fixed.all():
        drawn, usual = found[~fixed], fresh[~fixed]
        assert drawn.isfinite().all() and drawn.abs().max() < 4 * usual.abs().max(), name
        if len(drawn) > 40:
            assert drawn.std() / usual.std() == pytest.approx(1, abs=0.5), name


@pytest.mark.parametrize(("kind", "changes"), CASES)
def test_a_weight_that_is_missing_is_drawn_and_no_other_is_touched(
    kind: Any, changes: dict[str, Any], tmp_path: Path, empty_memory_is_nan: None
) -> None:
    changes = {"num_hidden_layers": 1, "depth": 1, **changes}
    model = trained(kind, **changes)
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    saved = load_file(file)
    assert set(saved) == set(model.state_dict())
    new = [model_of(kind, seed, **changes).state_dict() for seed in range(4)]
    for missing in saved:
        rest = {name: tensor for name, tensor in saved.items() if name != missing}
        save_file(rest, file, {"format": "pt"})
        again, report = kind.from_pretrained(tmp_path, output_loading_info=True)
        assert set(report["missing_keys"]) == {missing}
        found = again.state_dict()
        agrees(missing, found[missing], *(weights[missing] for weights in new))
        assert all(torch.equal(found[name], tensor) for name, tensor in rest.items()), missing
        buffers = dict(again.named_buffers())
        for name, buffer in model.named_buffers():
            assert name in saved or torch.equal(buffers[name], buffer), name


@heads
def test_a_head_model_starts_from_a_base(
    kind: Any, tmp_path: Path, empty_memory_is_nan: None
) -> None:
    whole = model_of(kind)
    base = trained(type(whole.base_model))
    base.save_pretrained(tmp_path)
    model = kind.from_pretrained(tmp_path).eval()
    loaded = model.base_model.state_dict()
    assert all(torch.equal(loaded[n], tensor) for n, tensor in base.state_dict().items())
    new = [model_of(kind, seed).state_dict() for seed in range(4)]
    for name, tensor in model.state_dict().items():
        if not name.startswith(f"{kind.base_model_prefix}."):
            agrees(name, tensor, *(weights[name] for weights in new))
    assert result(model, **inputs_of(whole)).isfinite().all()


@named
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_saved_and_loaded_it_is_the_same(kind: Any, dtype: torch.dtype, tmp_path: Path) -> None:
    model = trained(kind).to(dtype)
    model.save_pretrained(tmp_path)
    # in memory of its own: MKL rounds otherwise where weights lie as a file has them
    again = copy.deepcopy(kind.from_pretrained(tmp_path, dtype=dtype)).eval()
    assert all(map(torch.equal, again.state_dict().values(), model.state_dict().values()))
    found = [result(network, **in_dtype(inputs_of(model), dtype)) for network in (model, again)]
    assert torch.equal(*found) and found[0].dtype == dtype


@heads
def test_a_loss_comes_back_and_learns(kind: Any) -> None:
    model = model_of(kind).train()
    loss = model(**inputs_of(model), **labels_of(model)).loss
    assert loss.shape == () and loss.isfinite()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_transformers_trainer_knows_that_losses_are_means() -> None:
    assert not any(kind.accepts_loss_kwargs for kind in CLASSES)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] if place else [])
        for place, kind in enumerate(HEADS)
    ],
    ids=lambda kind: kind.__name__,
)
def test_transformers_trainer_accumulates_gradients(kind: Any, tmp_path: Path) -> None:
    """Two steps of two rows are one of four: a loss is a mean, and is divided by the steps."""
    changes = {"norm": "group"} if hasattr(kind.config_class(), "norm") else {}
    start = model_of(kind, **changes)
    inputs = inputs_of(start, (24,) * 4)
    labels = labels_of(start)
    inputs |= {name: [*values, values[0]] for name, values in labels.items()}
    rows = [{name: values[row] for name, values in inputs.items()} for row in range(4)]

    def after(batch: int) -> dict[str, Tensor]:
        model = copy.deepcopy(start)
        args = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=4 // batch,
            max_steps=1,
            optim="sgd",
            learning_rate=1.0,
            max_grad_norm=0.0,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
        )
        trainer = transformers.Trainer(model, args, train_dataset=rows, data_collator=collated)
        trainer.train()
        return model.state_dict()

    whole, parts = after(4), after(2)
    assert any(not torch.equal(whole[n], tensor) for n, tensor in start.state_dict().items())
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=1e-4)


def collated(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch; the boxes of images stay apart, as detectors of transformers take them."""
    batch = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: torch.stack(values) if isinstance(values[0], Tensor) else values
        for name, values in batch.items()
    }


def layers_of(model: Any) -> int:
    """How many modules there are in the list that hidden states lie between."""
    lists = dict(model.base_model.named_modules())
    names = ("layers", "encoder.blocks", "down_blocks")
    return len(next(lists[name] for name in names if name in lists))


@named
def test_hidden_states_come_where_they_are_asked_for(kind: Any) -> None:
    model = trained(kind)
    inputs = inputs_of(model)
    plain = model(**inputs)
    assert plain.hidden_states is None
    asked = model(**inputs, output_hidden_states=True)
    assert len(asked.hidden_states) == layers_of(model) + 1
    assert all(state.isfinite().all() for state in asked.hidden_states)
    if "logits" in plain:
        assert torch.equal(asked.logits, plain.logits)
    else:
        assert asked.hidden_states[-1] is asked.last_hidden_state
        assert torch.equal(asked.last_hidden_state, plain.last_hidden_state)
    parts = model(**inputs, output_hidden_states=True, return_dict=False)
    assert len(parts) == len(asked.to_tuple())
    model.config.output_hidden_states = True
    configured = model(**inputs)
    assert all(map(torch.equal, configured.hidden_states, asked.hidden_states))
    assert model(**inputs, output_hidden_states=False).hidden_states is None


@named
def test_a_layer_is_fed_the_hidden_state_before_it(kind: Any) -> None:
    model = trained(kind)
    inputs = inputs_of(model, (24, 24, 24))  # nothing is moved
    fed: list[Tensor] = []
    for layer in dict(model.base_model.named_modules()).get("layers", []):
        layer.register_forward_pre_hook(lambda module, args: fed.append(args[0]))
    states = model(**inputs, output_hidden_states=True).hidden_states
    for place, (state, given) in enumerate(zip(states, fed, strict=False)):
        if state.shape == given.shape:  # no pooling between
            torch.testing.assert_close(given, state, msg=str(place))


@named
def test_attention_weights_are_refused(kind: Any) -> None:
    model = model_of(kind)
    with pytest.raises(ValueError, match="keeps no attention weights: leave output_attentions out"):
        model(**inputs_of(model), output_attentions=True)
    model.set_attn_implementation("eager")
    model.config.output_attentions = True
    with pytest.raises(ValueError, match="keeps no attention weights"):
        model(**inputs_of(model))
    assert result(model, **inputs_of(model), output_attentions=False).isfinite().all()


MASKED = [
    kind for kind in CLASSES if "attention_mask" in inspect.signature(kind.forward).parameters
]


@pytest.mark.parametrize("kind", MASKED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("where", ["left", "both", "holes"])
def test_padding_may_be_anywhere(kind: Any, where: str) -> None:
    model = trained(kind)
    right = inputs_of(model)
    mask, name = right["attention_mask"], model.main_input_name
    width = mask.shape[1]
    places = []
    for length in mask.sum(1).tolist():
        free = width - length
        if where == "holes":
            chosen = torch.randperm(width, generator=torch.Generator().manual_seed(length))
            places.append(chosen[:length].sort().values)
        else:
            places.append(torch.arange(length) + (free if where == "left" else free // 2))
    other = {name: torch.zeros_like(right[name]), "attention_mask": torch.zeros_like(mask)}
    for row, place in enumerate(places):
        other[name][row, place] = right[name][row, : len(place)]
        other["attention_mask"][row, place] = 1
    assert not torch.equal(other["attention_mask"], mask)
    with torch.no_grad():
        expected, found = model(**right), model(**other)
        boolean = model(**{**other, "attention_mask": other["attention_mask"].bool()})
    if "logits" in expected:
        assert torch.equal(found.logits, expected.logits)
        assert torch.equal(boolean.logits, expected.logits)
        return
    if "pooler_output" in expected:
        assert torch.equal(found.pooler_output, expected.pooler_output)
    states = found.last_hidden_state
    for row, place in enumerate(places):
        if states.shape[1] == width:  # a state for each input stands where its input stands
            assert torch.equal(states[row, place], expected.last_hidden_state[row, : len(place)])
        else:
            assert torch.equal(states[row], expected.last_hidden_state[row])


def adaptable(model: nn.Module) -> list[str]:
    """Names of the layers that LoRA adapts."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding, nn.MultiheadAttention)
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, kinds) and getattr(module, "groups", 1) == 1
    ]


@heads
def test_lora_on_each_layer_changes_the_output_and_trains(kind: Any) -> None:
    from peft import LoraConfig, get_peft_model

    model = model_of(kind)
    inputs, plain = inputs_of(model), result(model)
    assert adaptable(model)
    for name in adaptable(model):
        torch.manual_seed(1)
        lora = LoraConfig(r=2, target_modules=[name], init_lora_weights=False)
        adapted = get_peft_model(copy.deepcopy(model), lora).eval()
        assert not torch.equal(result(adapted, **inputs), plain), name
        adapted(**inputs, **labels_of(model)).loss.backward()
        for weight, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None and parameter.grad.any(), weight
        merged = result(adapted, **inputs)
        torch.testing.assert_close(
            result(adapted.merge_and_unload(), **inputs), merged, rtol=1e-3, atol=1e-4, msg=name
        )


@heads
def test_a_module_that_is_trained_whole_beside_an_adapter_is_the_one_that_computes(
    kind: Any,
) -> None:
    from peft.utils import ModulesToSaveWrapper

    model = model_of(kind)
    inputs, plain = inputs_of(model), result(model)
    for name, module in list(model.named_modules())[1:]:
        if isinstance(module, nn.ModuleList) or not any(True for _ in module.parameters()):
            continue  # peft refuses a list
        parent, _, last = name.rpartition(".")
        saved = ModulesToSaveWrapper(module, "default")
        setattr(model.get_submodule(parent), last, saved)
        with torch.no_grad():
            for parameter in saved.modules_to_save["default"].parameters():
                parameter.add_(0.5 * torch.rand_like(parameter) + 0.1)
        found = result(model, **inputs)
        setattr(model.get_submodule(parent), last, module)
        assert not torch.equal(found, plain), name
    assert torch.equal(result(model, **inputs), plain)


@named
@pytest.mark.parametrize("way", ["cpu", "disk"])
def test_offloaded_it_computes_the_same(kind: Any, way: str, tmp_path: Path) -> None:
    import accelerate

    model = model_of(kind)
    plain = result(model)
    if way == "cpu":
        accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    else:
        accelerate.disk_offload(model, tmp_path, execution_device=torch.device("cpu"))
    assert all(parameter.is_meta for parameter in model.parameters())
    assert torch.equal(result(model), plain)
