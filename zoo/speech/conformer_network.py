"""The network of conformer_ctc: torchaudio's Conformer on log-mel features, with new weights."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model.network import Network
from zoo.speech import ctc_processor
from zoo.speech.ctc_processor import CtcProcessor, train_tokenizer
from zoo.speech.log_mel import extractor_of
from zoo.speech.modeling_conformer import ConformerConfig, ConformerForCTC

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.speech.conformer_ctc import Options


class ConformerNetwork(Network):
    """A Conformer with a CTC head and new weights."""

    auto_class = "AutoModelForCTC"
    load_processor = staticmethod(ctc_processor.load_processor)

    def make_processor(
        self, options: "Options", task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> CtcProcessor:
        """Return a processor of log-mel features and the characters of the training transcriptions.

        Raises `UserError` for options that make no network.
        """
        if options.hidden_size % options.num_heads:
            raise UserError(f"`hidden_size` {options.hidden_size}: a multiple of `num_heads`")
        return CtcProcessor(extractor_of(options), train_tokenizer(splits["train"], task.args))

    def build(
        self, options: "Options", task: "Task", processor: CtcProcessor, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32 with weights drawn from torch's global random state; seed it
        first."""
        config = ConformerConfig(
            num_mel_bins=options.num_mel_bins,
            hop_length=processor.feature_extractor.hop_length,
            hidden_size=options.hidden_size,
            intermediate_size=4 * options.hidden_size,
            num_hidden_layers=options.num_layers,
            num_attention_heads=options.num_heads,
            conv_kernel_size=options.kernel_size,
            hidden_dropout_prob=options.conformer_dropout,
            **task.model_config(),
        )
        return ConformerForCTC(config), {"model": None, "license": None}


NETWORK = ConformerNetwork()
