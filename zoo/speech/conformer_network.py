"""The network of conformer_ctc: torchaudio's Conformer on log-mel features, new or out of a
checkpoint."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model import own_weights
from zoo.model.network import Network
from zoo.speech import ctc_processor
from zoo.speech.ctc_processor import CtcProcessor, train_tokenizer
from zoo.speech.log_mel import extractor_of, features_of
from zoo.speech.modeling_conformer import ConformerConfig, ConformerForCTC
from zoo.store import own_checkpoint, pretrained

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.speech.conformer_ctc import Options


class ConformerNetwork(Network):
    """A Conformer with a CTC head."""

    auto_class = "AutoModelForCTC"
    load_processor = staticmethod(ctc_processor.load_processor)
    free_options = ("conformer_dropout", "initialization")

    def make_processor(
        self, options: "Options", task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> CtcProcessor:
        """Return a processor of log-mel features and the characters of the training transcriptions,
        or that of the weights.

        Raises `UserError` for options that make no network, or weights of another kind.
        """
        if options.model != pretrained.NEW:
            found, _ = own_checkpoint.find(options, ConformerConfig, entry)
            kept = ctc_processor.load_processor(found.folder)
            if options.vocabulary == "auto":
                return kept
            tokenizer = train_tokenizer(splits["train"], task.args)
            return CtcProcessor(kept.feature_extractor, tokenizer)
        if options.hidden_size % options.num_heads:
            raise UserError(f"`hidden_size` {options.hidden_size}: a multiple of `num_heads`")
        return CtcProcessor(extractor_of(options), train_tokenizer(splits["train"], task.args))

    def options_of_weights(
        self, options: "Options", processor: CtcProcessor, entry: Any
    ) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, ConformerConfig, entry)
        return {
            **features_of(processor.feature_extractor),
            "hidden_size": config.hidden_size,
            "num_layers": config.num_hidden_layers,
            "num_heads": config.num_attention_heads,
            "kernel_size": config.conv_kernel_size,
            "activation": config.hidden_act,
            "conformer_dropout": config.hidden_dropout_prob,
            "initialization": config.initialization,
        }

    def build(
        self, options: "Options", task: "Task", processor: CtcProcessor, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights, or a new head, are drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand, or are of another kind.
        """
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, ConformerConfig, entry)
            config.hidden_dropout_prob = options.conformer_dropout
            config.initialization = options.initialization
            before = ctc_processor.load_processor(found.folder).tokenizer
            model = own_weights.begin(
                ConformerForCTC,
                config,
                task.model_config(),
                found.folder,
                options.model,
                same_head=before.get_vocab() == processor.tokenizer.get_vocab(),
            )
            return model, found.source(options.model)
        config = ConformerConfig(
            num_mel_bins=options.num_mel_bins,
            hop_length=processor.feature_extractor.hop_length,
            hidden_size=options.hidden_size,
            intermediate_size=4 * options.hidden_size,
            num_hidden_layers=options.num_layers,
            num_attention_heads=options.num_heads,
            conv_kernel_size=options.kernel_size,
            hidden_dropout_prob=options.conformer_dropout,
            hidden_act=options.activation,
            initialization=options.initialization,
            **task.model_config(),
        )
        return ConformerForCTC(config), {"model": None, "license": None}


NETWORK = ConformerNetwork()
