"""The network of stream_ctc: causal convolutions on causal log-mel features, new or out of a
checkpoint."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.errors import UserError
from zoo.speech.ctc_network import OwnCtcNetwork
from zoo.speech.log_mel import LogMelFeatureExtractor, extractor_of, features_of
from zoo.speech.modeling_stream import StreamConfig, StreamForCTC

if TYPE_CHECKING:
    from torch import nn

    from zoo.speech.stream_ctc import Options


class StreamNetwork(OwnCtcNetwork):
    """A causal network with a CTC head."""

    config_class = StreamConfig
    model_class = StreamForCTC
    fields: ClassVar[Mapping[str, str]] = {
        "hidden_size": "hidden_size",
        "num_layers": "num_hidden_layers",
        "kernel_size": "conv_kernel_size",
        "cycle": "cycle",
        "stacked_frames": "stacked_frames",
        "chunk_frames": "chunk_frames",
        "stream_dropout": "hidden_dropout_prob",
        "initialization": "initialization",
    }
    free_options = ("stream_dropout", "initialization")

    def make_extractor(self, options: "Options") -> LogMelFeatureExtractor:
        """Return the feature extractor of new weights: frames within the samples, normalized by
        constants, in blocks of a chunk.

        Raises `UserError` for options that make none, or no network.
        """
        if options.chunk_frames % options.stacked_frames:
            raise UserError(
                f"`chunk_frames` {options.chunk_frames}: a multiple of `stacked_frames`, "
                f"{options.stacked_frames}"
            )
        return extractor_of(
            options,
            normalize="fixed",
            block_frames=options.chunk_frames,
            tail_samples=round(options.tail_seconds * options.sampling_rate),
        )

    def features_of(self, extractor: LogMelFeatureExtractor) -> dict[str, Any]:
        """Return the options by which `make_extractor` makes an equal extractor."""
        tail = extractor.tail_samples / extractor.sampling_rate
        return {**features_of(extractor), "tail_seconds": tail}

    def optimize_training(self, model: "nn.Module", train: Any) -> None:
        """Make training faster, in place: validation sees all frames of an utterance at once."""
        super().optimize_training(model, train)
        for module in model.modules():
            if isinstance(module, StreamForCTC):
                module.in_chunks = False


NETWORK = StreamNetwork()
