"""The network of kws_cls: a small convolutional classifier on log-mel features."""

from typing import TYPE_CHECKING, Any

from zoo.model.loading import load_feature_extractor
from zoo.model.network import Network
from zoo.speech.log_mel import extractor_of
from zoo.speech.modeling_kws import KwsConfig, KwsForAudioClassification

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.speech.kws_cls import Options


class KeywordNetwork(Network):
    """A small convolutional classifier of sounds."""

    auto_class = "AutoModelForAudioClassification"
    load_processor = staticmethod(load_feature_extractor)

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return the extractor of log-mel features; raises `UserError` for sizes that make none."""
        return extractor_of(options)

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32 with weights drawn from torch's global random state; seed it
        first."""
        config = KwsConfig(
            num_mel_bins=options.num_mel_bins,
            hidden_size=options.hidden_size,
            num_hidden_layers=options.num_layers,
            hidden_dropout_prob=options.kws_dropout,
            **task.model_config(),
        )
        return KwsForAudioClassification(config), {"model": None, "license": None}


NETWORK = KeywordNetwork()
