"""A U-Net that predicts the noise in images, as diffusers' `UNet2DModel` has it.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models", after the U-Net of Ronneberger et al.
2015: residual blocks that know the timestep and the label, with attention at the smallest size. The
tensors have the names of `UNet2DModel`, and a checkpoint holds them a second time in `unet/`, which
diffusers loads.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import ModelOutput, can_return_tuple

from tasks.atomic import write_json
from tasks.vision.noise_schedule import LINEAR, TIMESTEPS
from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.model.scratch import drawing

GROUPS = 8  # of channels that are normalised together: no row depends on others of its batch
HEAD = 8  # channels of an attention head
EPS = 1e-5
LONGEST_PERIOD = 10_000  # of the sines that a timestep becomes, as in Vaswani et al. 2017
UNET, SCHEDULER = "unet", "scheduler"  # folders of a checkpoint, as diffusers' pipelines name them
BETA_SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}  # diffusers' names


class DdpmConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of the U-Net; see `zoo.vision.ddpm.Options`."""

    model_type = "zoo_ddpm"

    num_channels: int = 3  # that are learned
    image_size: int = 28
    widths: tuple[int, ...] = (32, 64, 64)  # channels at each size: each is half of the one before
    blocks_per_size: int = 1  # residual blocks at each size; one more on the way up
    num_class_embeds: int | None = None  # labels, and one more for none; None: no labels
    betas: str = "cosine"
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"


@dataclass
class DdpmOutput(ModelOutput):  # type: ignore[misc]
    """The noise that a U-Net finds in images, and its loss."""

    loss: Tensor | None = None  # squared error, the mean over images
    logits: Tensor | None = None  # noise [b, channels, h, w], of unit variance
    hidden_states: tuple[Tensor, ...] | None = None


class DdpmPreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the U-Net."""

    config_class = DdpmConfig
    base_model_prefix = "unet"
    main_input_name = "pixel_values"
    _no_split_modules = ["DdpmDown", "DdpmMiddle", "DdpmUp"]  # noqa: RUF012  (transformers' way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module: torch's own way, unless `initialization` says otherwise."""
        draw = drawing(self.config)
        if isinstance(module, nn.Linear | nn.Conv2d) and draw is not None:
            draw(module.weight)
            assert module.bias is not None
            module.bias.zero_()
        else:
            super().initialize(module)


class DdpmTimeEmbedding(nn.Module):
    """Timesteps int64 [b] to vectors [b, outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, outputs)
        self.act = nn.SiLU()
        self.linear_2 = nn.Linear(outputs, outputs)
        self.waves = inputs // 2

    def forward(self, timesteps: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the vectors of timesteps, in `dtype`."""
        places = torch.arange(self.waves, dtype=torch.float32, device=timesteps.device)
        rates = torch.exp(-math.log(LONGEST_PERIOD) / self.waves * places)
        angles = timesteps[:, None].float() * rates
        x = torch.cat([angles.cos(), angles.sin()], 1).to(dtype)
        found: Tensor = self.linear_2(self.act(self.linear_1(x)))
        return found


class DdpmResnet(nn.Module):
    """Two convolutions beside a shortcut; [b, inputs, h, w] to [b, outputs, h, w]."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, inputs, EPS)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(embedding, outputs)
        self.norm2 = nn.GroupNorm(GROUPS, outputs, EPS)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None
        self.act = nn.SiLU()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return features of x at the timesteps and labels of `embedding` [b, embedding]."""
        out: Tensor = self.conv1(self.act(self.norm1(x)))
        out = out + self.time_emb_proj(self.act(embedding))[:, :, None, None]
        out = self.conv2(self.act(self.norm2(out)))
        shortcut: Tensor = x if self.conv_shortcut is None else self.conv_shortcut(x)
        return shortcut + out


class DdpmAttention(nn.Module):
    """Attention between the places of an image, beside a shortcut; [b, channels, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(GROUPS, channels, EPS)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Return features of x."""
        rows = self.group_norm(x).flatten(2).transpose(1, 2)  # [b, places, channels]
        q, k, v = (
            layer(rows).unflatten(2, (-1, HEAD)).transpose(1, 2)  # [b, heads, places, HEAD]
            for layer in (self.to_q, self.to_k, self.to_v)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        found: Tensor = self.to_out[0](mixed).transpose(1, 2).unflatten(2, x.shape[2:])
        return x + found


class DdpmDownsample(nn.Module):
    """[b, channels, h, w] to [b, channels, h / 2, w / 2]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at half the size."""
        found: Tensor = self.conv(x)
        return found


class DdpmUpsample(nn.Module):
    """[b, channels, h, w] to [b, channels, 2 h, 2 w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features at twice the size."""
        found: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return found


def attentions(channels: int, count: int) -> nn.ModuleList:
    """Return so many layers of attention."""
    return nn.ModuleList(DdpmAttention(channels) for _ in range(count))


class DdpmDown(nn.Module):
    """The blocks of one size on the way down."""

    def __init__(
        self, inputs: int, outputs: int, embedding: int, count: int, *, attends: bool, last: bool
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            DdpmResnet(outputs if place else inputs, outputs, embedding) for place in range(count)
        )
        self.attentions = attentions(outputs, count if attends else 0)
        self.downsamplers = nn.ModuleList([] if last else [DdpmDownsample(outputs)])

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return features for the next size, and those that the way up takes."""
        kept = []
        for place, resnet in enumerate(self.resnets):
            x = resnet(x, embedding)
            if len(self.attentions):
                x = self.attentions[place](x)
            kept.append(x)
        for down in self.downsamplers:
            x = down(x)
            kept.append(x)
        return x, kept


class DdpmMiddle(nn.Module):
    """The blocks between the ways down and up."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.attentions = attentions(channels, 1)
        self.resnets = nn.ModuleList(DdpmResnet(channels, channels, embedding) for _ in range(2))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return features of x."""
        x = self.attentions[0](self.resnets[0](x, embedding))
        found: Tensor = self.resnets[1](x, embedding)
        return found


class DdpmUp(nn.Module):
    """The blocks of one size on the way up, each of which takes one state of the way down."""

    def __init__(
        self,
        inputs: int,
        kept: list[int],
        outputs: int,
        embedding: int,
        *,
        attends: bool,
        last: bool,
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            DdpmResnet((outputs if place else inputs) + channels, outputs, embedding)
            for place, channels in enumerate(kept)
        )
        self.attentions = attentions(outputs, len(kept) if attends else 0)
        self.upsamplers = nn.ModuleList([] if last else [DdpmUpsample(outputs)])

    def forward(self, x: Tensor, kept: list[Tensor], embedding: Tensor) -> Tensor:
        """Return features for the next size; `kept` are in the order in which they are taken."""
        for place, (resnet, state) in enumerate(zip(self.resnets, kept, strict=True)):
            x = resnet(torch.cat([x, state], 1), embedding)
            if len(self.attentions):
                x = self.attentions[place](x)
        for up in self.upsamplers:
            x = up(x)
        return x


class DdpmModel(DdpmPreTrainedModel):
    """The U-Net: noisy images to the noise in them."""

    def __init__(self, config: DdpmConfig) -> None:
        super().__init__(config)
        widths, count = config.widths, config.blocks_per_size
        embedding, smallest = 4 * widths[0], len(widths) - 1
        self.time_embedding = DdpmTimeEmbedding(widths[0], embedding)
        self.class_embedding = None
        if config.num_class_embeds is not None:
            self.class_embedding = nn.Embedding(config.num_class_embeds, embedding)
        self.conv_in = nn.Conv2d(config.num_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        kept = [widths[0]]  # channels of the states of the way down
        for place, width in enumerate(widths):
            last = place == smallest
            before = widths[max(place - 1, 0)]
            self.down_blocks.append(
                DdpmDown(before, width, embedding, count, attends=last, last=last)
            )
            kept += [width] * (count if last else count + 1)
        self.mid_block = DdpmMiddle(widths[-1], embedding)
        self.up_blocks = nn.ModuleList()
        before = widths[-1]
        for place in range(smallest, -1, -1):
            taken = [kept.pop() for _ in range(count + 1)]
            attends, last = place == smallest, place == 0
            self.up_blocks.append(
                DdpmUp(before, taken, widths[place], embedding, attends=attends, last=last)
            )
            before = widths[place]
        self.conv_norm_out = nn.GroupNorm(GROUPS, widths[0], EPS)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(widths[0], config.num_channels, 3, padding=1)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        timesteps: Tensor | None = None,
        class_labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Return the noise in images, [b, channels, h, w]; see `DdpmForPreTraining.forward`."""
        states = self.hidden_states_list(output_hidden_states, output_attentions)
        rows = len(pixel_values)
        if timesteps is None:
            timesteps = torch.zeros(rows, dtype=torch.int64, device=pixel_values.device)
        embedding = self.time_embedding(timesteps, pixel_values.dtype)
        if self.class_embedding is not None:
            if class_labels is None:
                class_labels = torch.full_like(timesteps, self.config.num_class_embeds - 1)
            embedding = embedding + self.class_embedding(class_labels)
        x = self.conv_in(pixel_values[:, : self.config.num_channels])
        kept = [x]
        for block in self.down_blocks:
            if states is not None:
                states.append(x)
            x, more = block(x, embedding)
            kept += more
        x = self.mid_block(x, embedding)
        for block in self.up_blocks:
            x = block(x, [kept.pop() for _ in range(self.config.blocks_per_size + 1)], embedding)
        x = self.conv_out(self.conv_act(self.conv_norm_out(x)))
        return BaseModelOutput(last_hidden_state=x, hidden_states=hidden_states(states, x))


class DdpmForPreTraining(DdpmPreTrainedModel):
    """A U-Net that learns to find the noise in images."""

    computes_loss = True  # false where whoever calls does it: zoo's own loop

    def __init__(self, config: DdpmConfig) -> None:
        super().__init__(config)
        self.unet = DdpmModel(config)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        timesteps: Tensor | None = None,
        class_labels: Tensor | None = None,
        noise: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> DdpmOutput:
        """Return the noise in images.

        Args:
            pixel_values: noisy images, float [b, channels, image_size, image_size]; the first
                `num_channels` are taken.
            timesteps: int64 [b], 0 to 999; 0 by default.
            class_labels: int64 [b], `num_class_embeds` - 1 of images without a label, which is the
                default; of a network without labels they are left aside.
            noise: what was added to the images, of their shape, for the loss.
        """
        found = self.unet(
            pixel_values,
            timesteps,
            class_labels,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        logits = found.last_hidden_state
        loss = None
        if noise is not None and self.computes_loss:
            loss = F.mse_loss(logits, noise)
        return DdpmOutput(loss=loss, logits=logits, hidden_states=found.hidden_states)

    def save_pretrained(
        self, save_directory: Any, state_dict: dict[str, Tensor] | None = None, **kwargs: Any
    ) -> None:
        """Save the network as transformers does, and in `unet/` and `scheduler/` as diffusers does:
        `UNet2DModel` and `DDIMScheduler` load them."""
        from safetensors.torch import save_file

        prefix = f"{self.base_model_prefix}."
        tensors = {  # taken first: transformers empties a `state_dict` that it has written
            name.removeprefix(prefix): tensor.detach().cpu().contiguous()
            for name, tensor in (self.state_dict() if state_dict is None else state_dict).items()
        }
        super().save_pretrained(save_directory, state_dict=state_dict, **kwargs)
        folder = Path(save_directory)
        for name, content in (
            (f"{UNET}/config.json", unet_config(self.config)),
            (f"{SCHEDULER}/scheduler_config.json", scheduler_config(self.config)),
        ):
            (folder / name).parent.mkdir(exist_ok=True)
            write_json(folder / name, content)
        file = folder / UNET / "diffusion_pytorch_model.safetensors"
        save_file(tensors, file, {"format": "pt"})


def unet_config(config: DdpmConfig) -> dict[str, Any]:
    """Return the configuration of the `UNet2DModel` of diffusers that is the same network."""
    plain = len(config.widths) - 1
    return {
        "_class_name": "UNet2DModel",
        "act_fn": "silu",
        "add_attention": True,
        "attention_head_dim": HEAD,
        "block_out_channels": list(config.widths),
        "center_input_sample": False,
        "class_embed_type": None,
        "down_block_types": ["DownBlock2D"] * plain + ["AttnDownBlock2D"],
        "downsample_padding": 1,
        "downsample_type": "conv",
        "dropout": 0.0,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": config.num_channels,
        "layers_per_block": config.blocks_per_size,
        "mid_block_scale_factor": 1,
        "norm_eps": EPS,
        "norm_num_groups": GROUPS,
        "num_class_embeds": config.num_class_embeds,
        "out_channels": config.num_channels,
        "resnet_time_scale_shift": "default",
        "sample_size": config.image_size,
        "time_embedding_type": "positional",
        "up_block_types": ["AttnUpBlock2D"] + ["UpBlock2D"] * plain,
        "upsample_type": "conv",
    }


def scheduler_config(config: DdpmConfig) -> dict[str, Any]:
    """Return the configuration of diffusers' `DDIMScheduler` that adds and takes away noise as
    `tasks.vision.noise_schedule` does."""
    first, last = LINEAR
    return {
        "_class_name": "DDIMScheduler",
        "beta_end": last,
        "beta_schedule": BETA_SCHEDULES[config.betas],
        "beta_start": first,
        "clip_sample": True,
        "clip_sample_range": 1.0,
        "num_train_timesteps": TIMESTEPS,
        "prediction_type": "epsilon",
        "set_alpha_to_one": True,
        "steps_offset": 0,
        "timestep_spacing": "trailing",
    }


register(DdpmConfig, AutoModel=DdpmModel, AutoModelForPreTraining=DdpmForPreTraining)
