"""A variational autoencoder of convolutions.

Kingma & Welling 2013, "Auto-Encoding Variational Bayes": the encoder gives mean and variance of a
normal distribution of latent vectors for an image, the decoder a distribution of each pixel value
for a latent vector: a logistic one, of which the bins of 8 bits are taken.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput, can_return_tuple

from tasks.vision.likelihood import nats_per_dim, to_levels
from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.model.scratch import drawing

GROUPS = 8  # of channels that are normalised together: no row depends on others of its batch


class VaeConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a variational autoencoder; see `zoo.vision.vae.Options`."""

    model_type = "zoo_vae"

    num_channels: int = 3  # that are learned; with 1 the first of an image's three is taken
    image_size: int = 28
    latent_size: int = 32
    widths: tuple[int, ...] = (32, 64)  # channels after each halving of the image
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"

    @property
    def smallest(self) -> int:
        """Return the side of the smallest feature map."""
        return int(self.image_size // 2 ** len(self.widths))


@dataclass
class VaeOutput(ModelOutput):  # type: ignore[misc]
    """The distributions that a variational autoencoder gives for images, and its loss."""

    loss: Tensor | None = None  # nats per dimension, the mean over images
    logits: Tensor | None = None  # locations of pixels [b, channels, h, w], -1 black, 1 white
    log_scale: Tensor | None = None  # logarithm of their scales, of the same shape
    mean: Tensor | None = None  # of the latent vector, [b, latent_size]
    log_variance: Tensor | None = None  # of the same shape
    hidden_states: tuple[Tensor, ...] | None = None  # of the encoder


class VaePreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the variational autoencoder."""

    config_class = VaeConfig
    base_model_prefix = "vae"
    main_input_name = "pixel_values"
    _no_split_modules = ["VaeEncoder", "VaeDecoder"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module: torch's own way, unless `initialization` says otherwise."""
        draw = drawing(self.config)
        if isinstance(module, nn.Linear | nn.Conv2d) and draw is not None:
            draw(module.weight)
            assert module.bias is not None
            module.bias.zero_()
        else:
            super().initialize(module)


class VaeBlock(nn.Module):
    """A 3x3 convolution with a norm and SiLU; [b, inputs, h, w] to [b, outputs, h', w']."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.norm = nn.GroupNorm(GROUPS, outputs)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return features of x."""
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out


class VaeEncoder(nn.Module):
    """Pixels [b, channels, h, w] to mean and log-variance of a latent vector, [b, latents] each."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        inputs = (config.num_channels, *config.widths[:-1])
        self.blocks = nn.ModuleList(
            VaeBlock(before, width, stride=2)
            for before, width in zip(inputs, config.widths, strict=True)
        )
        self.latent = nn.Linear(config.widths[-1] * config.smallest**2, 2 * config.latent_size)

    def forward(self, x: Tensor, states: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance; `states` gets what goes into each block."""
        for block in self.blocks:
            if states is not None:
                states.append(x)
            x = block(x)
        mean, log_variance = self.latent(x.flatten(1)).chunk(2, 1)
        return mean, log_variance


class VaeDecoder(nn.Module):
    """Latent vectors [b, latents] to location and log-scale of each pixel value, [b, channels, h,
    w] each."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.shape = (config.widths[-1], config.smallest, config.smallest)
        self.latent = nn.Linear(config.latent_size, config.widths[-1] * config.smallest**2)
        self.up = nn.Upsample(scale_factor=2)
        widths = config.widths[::-1]
        self.blocks = nn.ModuleList(
            VaeBlock(before, width)
            for before, width in zip(widths, (*widths[1:], widths[-1]), strict=True)
        )
        self.act = nn.SiLU()
        self.pixels = nn.Conv2d(widths[-1], 2 * config.num_channels, 3, padding=1)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return location and log-scale."""
        x = self.act(self.latent(latent)).unflatten(1, self.shape)
        for block in self.blocks:
            x = block(self.up(x))
        location, log_scale = self.pixels(x).chunk(2, 1)
        return location, log_scale


class VaeModel(VaePreTrainedModel):
    """The encoder of a variational autoencoder: pixels to a latent vector."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__(config)
        self.encoder = VaeEncoder(config)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Return the mean of the latent vector of images [b, 3, h, w], [b, latents], and the same
        as a row of one state, [b, 1, latents]."""
        states = self.hidden_states_list(output_hidden_states, output_attentions)
        mean, _ = self.encoder(pixel_values[:, : self.config.num_channels], states)
        x = mean[:, None]
        return BaseModelOutputWithPooling(
            last_hidden_state=x, pooler_output=mean, hidden_states=hidden_states(states, x)
        )


class VaeForPreTraining(VaePreTrainedModel):
    """A variational autoencoder: encoder and decoder."""

    computes_loss = True  # false where whoever calls does it: zoo's own loop, exported programs

    def __init__(self, config: VaeConfig) -> None:
        super().__init__(config)
        self.vae = VaeModel(config)
        self.decoder = VaeDecoder(config)
        self.post_init()

    def decode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return location, -1 black and 1 white, and log-scale of the pixel values, [b, channels,
        h, w] each, of latent vectors [b, latents]."""
        found: tuple[Tensor, Tensor] = self.decoder(latent)
        return found

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        noise: Tensor | None = None,
        return_loss: bool = True,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> VaeOutput:
        """Return the distributions of latents and pixels of images.

        Args:
            pixel_values: float [b, 3, image_size, image_size], or of `num_channels`.
            noise: normal draws [b, latent_size]; from torch's global random state by default.
            return_loss: whether to compute the loss; the pixels are the target, with 0.5 as mean
                and deviation of their normalisation.
        """
        pixels = pixel_values[:, : self.config.num_channels]
        states = self.hidden_states_list(output_hidden_states, output_attentions)
        mean, log_variance = self.vae.encoder(pixels, states)
        if noise is None:
            noise = torch.randn_like(mean)
        logits, log_scale = self.decode(mean + (0.5 * log_variance).exp() * noise)
        loss = None
        if return_loss and self.computes_loss:
            levels = to_levels(pixels, 0.5, 0.5)
            loss = nats_per_dim(levels, logits, log_scale, mean, log_variance).mean()
        return VaeOutput(
            loss=loss,
            logits=logits,
            log_scale=log_scale,
            mean=mean,
            log_variance=log_variance,
            hidden_states=hidden_states(states, mean[:, None]),
        )


register(VaeConfig, AutoModel=VaeModel, AutoModelForPreTraining=VaeForPreTraining)
