"""What the networks of our own with CTC share: new or out of a checkpoint, with its characters or
those of the data."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.model import own_weights
from zoo.model.network import Network
from zoo.speech import ctc_processor
from zoo.speech.ctc_processor import CtcProcessor, train_tokenizer
from zoo.speech.log_mel import features_of
from zoo.store import own_checkpoint, pretrained

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.speech.log_mel import LogMelFeatureExtractor


class OwnCtcNetwork(Network):
    """A network with a CTC head on log-mel features; a subclass names its classes and options."""

    auto_class = "AutoModelForCTC"
    load_processor = staticmethod(ctc_processor.load_processor)
    config_class: ClassVar[Any]
    model_class: ClassVar[Any]
    fields: ClassVar[Mapping[str, str]]
    """The field of the configuration that an option sets, by the name of the option."""

    def make_extractor(self, options: Any) -> "LogMelFeatureExtractor":
        """Return the feature extractor of new weights.

        Raises `UserError` for options that make none, or no network.
        """
        raise NotImplementedError

    def make_processor(
        self, options: Any, task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> CtcProcessor:
        """Return a processor of log-mel features and the characters of the training transcriptions,
        or that of the weights.

        Raises `UserError` for options that make no network, or weights of another kind.
        """
        if options.model != pretrained.NEW:
            found, _ = own_checkpoint.find(options, self.config_class, entry)
            kept = ctc_processor.load_processor(found.folder)
            if options.vocabulary == "auto":
                return kept
            tokenizer = train_tokenizer(splits["train"], task.args)
            return CtcProcessor(kept.feature_extractor, tokenizer)
        return CtcProcessor(
            self.make_extractor(options), train_tokenizer(splits["train"], task.args)
        )

    def features_of(self, extractor: Any) -> dict[str, Any]:
        """Return the options by which `make_extractor` makes an equal extractor."""
        return features_of(extractor)

    def options_of_weights(
        self, options: Any, processor: CtcProcessor, entry: Any
    ) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, self.config_class, entry)
        of_weights = {name: getattr(config, field) for name, field in self.fields.items()}
        return of_weights | self.features_of(processor.feature_extractor)

    def build(
        self, options: Any, task: "Task", processor: CtcProcessor, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights, or a new head, are drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand, or are of another kind.
        """
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, self.config_class, entry)
            for name in self.free_options:
                setattr(config, self.fields[name], getattr(options, name))
            before = ctc_processor.load_processor(found.folder).tokenizer
            model = own_weights.begin(
                self.model_class,
                config,
                task.model_config(),
                found.folder,
                options.model,
                same_head=before.get_vocab() == processor.tokenizer.get_vocab(),
            )
            return model, found.source(options.model)
        config = self.config_class(
            num_mel_bins=options.num_mel_bins,
            hop_length=processor.feature_extractor.hop_length,
            **{field: getattr(options, name) for name, field in self.fields.items()},
            **self.derived(options),
            **task.model_config(),
        )
        return self.model_class(config), {"model": None, "license": None}

    def derived(self, options: Any) -> Mapping[str, Any]:
        """Return fields of a new network's configuration that follow from several options."""
        return {}
