"""The network of conformer_ctc: torchaudio's Conformer on log-mel features, new or out of a
checkpoint."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.errors import UserError
from zoo.speech.ctc_network import OwnCtcNetwork
from zoo.speech.log_mel import LogMelFeatureExtractor, extractor_of
from zoo.speech.modeling_conformer import ConformerConfig, ConformerForCTC

if TYPE_CHECKING:
    from zoo.speech.conformer_ctc import Options


class ConformerNetwork(OwnCtcNetwork):
    """A Conformer with a CTC head."""

    config_class = ConformerConfig
    model_class = ConformerForCTC
    fields: ClassVar[Mapping[str, str]] = {
        "hidden_size": "hidden_size",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "kernel_size": "conv_kernel_size",
        "activation": "hidden_act",
        "conformer_dropout": "hidden_dropout_prob",
        "initialization": "initialization",
    }
    free_options = ("conformer_dropout", "initialization")

    def make_extractor(self, options: "Options") -> LogMelFeatureExtractor:
        """Return the feature extractor of new weights.

        Raises `UserError` for options that make none, or no network.
        """
        if options.hidden_size % options.num_heads:
            raise UserError(f"`hidden_size` {options.hidden_size}: a multiple of `num_heads`")
        return extractor_of(options)

    def derived(self, options: "Options") -> Mapping[str, Any]:
        """Return the width of the inner feed-forward layers, by that of the others."""
        return {"intermediate_size": 4 * options.hidden_size}


NETWORK = ConformerNetwork()
