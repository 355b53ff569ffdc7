"""The network of kws_cls: a small convolutional classifier on log-mel features."""

from typing import TYPE_CHECKING, Any

from zoo.model import own_weights
from zoo.model.loading import load_feature_extractor
from zoo.model.network import Network
from zoo.speech.log_mel import extractor_of, features_of
from zoo.speech.modeling_kws import KwsConfig, KwsForAudioClassification
from zoo.store import own_checkpoint, pretrained

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.speech.kws_cls import Options


class KeywordNetwork(Network):
    """A small convolutional classifier of sounds."""

    auto_class = "AutoModelForAudioClassification"
    load_processor = staticmethod(load_feature_extractor)
    free_options = ("kws_dropout", "initialization")

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return the extractor of log-mel features: a new one, or that of the weights.

        Raises `UserError` for sizes that make none, and where the weights are not at hand, or are
        of another kind.
        """
        if options.model != pretrained.NEW:
            found, _ = own_checkpoint.find(options, KwsConfig, entry)
            return load_feature_extractor(found.folder)
        return extractor_of(options)

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, KwsConfig, entry)
        return {
            **features_of(processor),
            "hidden_size": config.hidden_size,
            "num_layers": config.num_hidden_layers,
            "activation": config.hidden_act,
            "kws_dropout": config.hidden_dropout_prob,
            "initialization": config.initialization,
        }

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights, or a new head, are drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand, or are of another kind.
        """
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, KwsConfig, entry)
            config.hidden_dropout_prob = options.kws_dropout
            config.initialization = options.initialization
            settings = task.model_config()
            model = own_weights.begin(
                KwsForAudioClassification, config, settings, found.folder, options.model
            )
            return model, found.source(options.model)
        config = KwsConfig(
            num_mel_bins=options.num_mel_bins,
            hidden_size=options.hidden_size,
            num_hidden_layers=options.num_layers,
            hidden_dropout_prob=options.kws_dropout,
            hidden_act=options.activation,
            initialization=options.initialization,
            **task.model_config(),
        )
        return KwsForAudioClassification(config), {"model": None, "license": None}


NETWORK = KeywordNetwork()
