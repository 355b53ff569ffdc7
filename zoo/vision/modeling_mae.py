"""A masked autoencoder around a vision transformer of timm.

He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners": the encoder sees a quarter of
the patches and nothing in place of the others; a small decoder gets what it made of them, one
learned vector for each hidden patch, and all positions, and paints the hidden patches.

The encoder is the network that zoo.vision.vit_cls makes (mean over patches, no class token), under
the same names. Where He et al. fix its positions to sines, they begin there and are learned.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput, can_return_tuple

from tasks.vision.patches import painting_errors, seen
from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.model.scratch import drawing


class MaeConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a masked autoencoder; see `zoo.vision.mae.Options`."""

    model_type = "zoo_mae"

    architecture: str = "vit_tiny_patch16_224"  # timm's name of the encoder
    num_channels: int = 3
    image_size: int = 32
    patch_size: int = 4
    depth: int = 6  # layers of the encoder
    mask_ratio: float = 0.75
    decoder_size: int = 96
    decoder_depth: int = 2
    decoder_heads: int = 3
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"

    def timm_args(self) -> dict[str, Any]:
        """Return timm's arguments besides the architecture, the same as in vit_cls."""
        return {
            "img_size": self.image_size,
            "patch_size": self.patch_size,
            "depth": self.depth,
            "class_token": False,
            "global_pool": "avg",
        }


@dataclass
class MaeOutput(ModelOutput):  # type: ignore[misc]
    """The pixels that a masked autoencoder predicts, and its loss."""

    loss: Tensor | None = None  # of the hidden patches, as tasks.vision.masked_image has it
    logits: Tensor | None = None  # [b, patches, patch_size ** 2 * channels], seen ones as well
    hidden_states: tuple[Tensor, ...] | None = None  # of the encoder, each [b, seen, width]


class MaePreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the masked autoencoder."""

    config_class = MaeConfig
    base_model_prefix = "mae"
    main_input_name = "pixel_values"
    _no_split_modules = ["Block"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module as He et al. 2022, appendix A.1: Glorot's uniform
        everywhere, with the patch projection treated as linear, unless `initialization` says
        otherwise; the encoder's positions are sines.
        """
        if isinstance(module, nn.Linear | nn.Conv2d):
            draw = drawing(self.config) or nn.init.xavier_uniform_
            draw(module.weight.view(len(module.weight), -1))
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, MaeEncoder):
            assert module.pos_embed is not None
            module.pos_embed.copy_(sines_like(module.pos_embed))
        elif isinstance(module, MaeDecoder):
            nn.init.normal_(module.hidden_patch, std=0.02)
            module.positions.copy_(sines_like(module.positions))
        else:
            super().initialize(module)


def sines(side: int, width: int) -> Tensor:
    """Return sine positions of a square grid, float32 [1, side * side, width]: a quarter of the
    width each for sine and cosine of row and column (Vaswani et al. 2017, section 3.5, in two
    dimensions)."""
    quarter = width // 4
    rates = 10_000.0 ** -(np.arange(quarter) / quarter)
    angles = np.arange(side)[:, None] * rates  # [side, quarter]
    half = np.concatenate([np.sin(angles), np.cos(angles)], 1)
    rows, columns = np.repeat(half, side, 0), np.tile(half, (side, 1))
    grid = np.zeros((1, side * side, width), np.float32)
    grid[0, :, : 4 * quarter] = np.concatenate([rows, columns], 1)
    return torch.from_numpy(grid)


def sines_like(positions: Tensor) -> Tensor:
    """Return `sines` in the shape of positions [1, side * side, width]."""
    return sines(int(positions.shape[1] ** 0.5), positions.shape[2])


def _reordered(x: Tensor, order: Tensor) -> Tensor:
    """Return the rows of x [b, n, width] in an order int64 [b, m]. It uses gather, because
    take_along_dim would make the batch size a constant in torch.export."""
    return x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[2]))


def _put_back(x: Tensor, order: Tensor) -> Tensor:
    """Undo `_reordered` for an order int64 [b, n] of all rows. It uses scatter, because ExecuTorch
    has no sort, which an inverse order needs."""
    return x.scatter(1, order.unsqueeze(-1).expand(-1, -1, x.shape[2]), x)


class MaeEncoder(VisionTransformer):  # type: ignore[misc]
    """timm's vision transformer, applied to the visible patches only."""

    def forward(
        self, pixel_values: Tensor, visible: Tensor | None, states: list[Tensor] | None
    ) -> Tensor:
        """Return vectors [b, seen, width] of images [b, channels, h, w].

        Args:
            visible: int64 [b, seen], which patches are looked at and in which order; None: all.
            states: gets what goes into each layer.
        """
        x = self.patch_embed(pixel_values)
        x = self.norm_pre(self.pos_drop(x + self.pos_embed))
        if visible is not None:
            x = _reordered(x, visible)
        if states is None:
            x = self.blocks(x)
        else:
            for block in self.blocks:
                states.append(x)
                x = block(x)
        # one of the norms does nothing; the other is the classifier's own
        return self.fc_norm(self.norm(x))  # type: ignore[no-any-return]


class MaeModel(MaePreTrainedModel):
    """The encoder of a masked autoencoder: pixels to a vector for each visible patch."""

    def __init__(self, config: MaeConfig) -> None:
        """Make the encoder; raises ValueError if timm's architecture is no vision transformer."""
        super().__init__(config)
        encoder = timm.create_model(
            config.architecture,
            pretrained=False,
            num_classes=0,
            in_chans=config.num_channels,
            **config.timm_args(),
        )
        if type(encoder) is not VisionTransformer or encoder.pos_embed is None:
            raise ValueError(f"{config.architecture} is no vision transformer with positions")
        if encoder.num_prefix_tokens or encoder.dynamic_img_size:
            raise ValueError(f"{config.architecture} has more tokens than the image has patches")
        encoder.__class__ = MaeEncoder  # timm's functions make no subclass
        self.encoder = encoder
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        visible: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Return vectors [b, patches, width] of images [b, channels, h, w], and their mean [b,
        width].

        Args:
            visible: int64 [b, seen], which patches are looked at and in which order; all by
                default.
        """
        states = self.hidden_states_list(output_hidden_states, output_attentions)
        x = self.encoder(pixel_values, visible, states)
        return BaseModelOutputWithPooling(
            last_hidden_state=x, pooler_output=x.mean(1), hidden_states=hidden_states(states, x)
        )


class MaeDecoder(nn.Module):
    """The decoder of a masked autoencoder: encoded visible patches and positions to pixels of all
    patches."""

    positions: Tensor

    def __init__(self, config: MaeConfig, inputs: int) -> None:
        """Make the decoder; `inputs` is the width of the encoder."""
        super().__init__()
        width, side = config.decoder_size, config.image_size // config.patch_size
        self.narrow = nn.Linear(inputs, width)
        self.hidden_patch = nn.Parameter(torch.zeros(1, 1, width))
        self.register_buffer("positions", sines(side, width))
        self.parts = nn.Sequential(
            *(
                Block(width, config.decoder_heads, mlp_ratio=4.0, qkv_bias=True)
                for _ in range(config.decoder_depth)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.paint = nn.Linear(width, config.patch_size**2 * config.num_channels)

    def forward(self, x: Tensor, shuffle: Tensor) -> Tensor:
        """Return the pixels [b, patches, values], in image order, from x [b, seen, encoder's
        width].

        Args:
            shuffle: int64 [b, patches]; its first are those that were seen.
        """
        x = self.narrow(x)
        batch, seen, width = x.shape  # len(x) would be a constant to torch.export
        hidden = self.hidden_patch.to(x.dtype).expand(batch, shuffle.shape[1] - seen, width)
        x = _put_back(torch.cat([x, hidden], 1), shuffle)
        x = self.parts(x + self.positions.to(x.dtype))
        painted: Tensor = self.paint(self.norm(x))
        return painted


class MaeForPreTraining(MaePreTrainedModel):
    """A masked autoencoder for pretraining: encoder and decoder."""

    computes_loss = True  # false where whoever calls does it: zoo's own loop, exported programs

    def __init__(self, config: MaeConfig) -> None:
        super().__init__(config)
        self.mae = MaeModel(config)
        self.decoder = MaeDecoder(config, self.mae.encoder.embed_dim)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        shuffle: Tensor | None = None,
        return_loss: bool = True,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> MaeOutput:
        """Predict the pixels of every patch from the few visible ones.

        Args:
            pixel_values: float [b, channels, image_size, image_size].
            return_loss: whether to compute the loss; the pixels are the target.
            shuffle: int64 [b, patches], an order of the patches for each image: the first are seen.
                Drawn from torch's global random state by default.
        """
        patches = (self.config.image_size // self.config.patch_size) ** 2
        if shuffle is None:
            noise = torch.rand(len(pixel_values), patches, device=pixel_values.device)
            shuffle = noise.argsort(1)
        visible = shuffle[:, : seen(patches, self.config.mask_ratio)]
        base = self.mae(
            pixel_values,
            visible=visible,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        logits = self.decoder(base.last_hidden_state, shuffle)
        loss = None
        if return_loss and self.computes_loss:
            hidden = shuffle[:, visible.shape[1] :]
            errors = painting_errors(logits.float(), pixel_values, hidden, self.config.patch_size)
            loss = errors.mean()
        return MaeOutput(loss=loss, logits=logits, hidden_states=base.hidden_states)


register(MaeConfig, AutoModel=MaeModel, AutoModelForPreTraining=MaeForPreTraining)
