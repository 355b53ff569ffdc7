"""The network of mlp_tab: a multilayer perceptron for tables, new or out of a checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.tabular.column import Column
from tasks.tabular.table_classification import TableClassification, learned
from zoo.model import loading, own_weights, perceptron
from zoo.model.network import Network
from zoo.store import own_checkpoint, pretrained
from zoo.tabular.modeling_mlp import TableMlpConfig, TableMlpForPrediction
from zoo.tabular.table_processor import TableFeatureExtractor

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from zoo.tabular.mlp_tab import Options


def load_processor(folder: Path) -> TableFeatureExtractor:
    """Return what training learned of the columns. Raises `UserError` where it is damaged."""
    settings = loading.load_json(folder, loading.PROCESSOR)
    with loading.told(folder, "feature extractor"):
        found = TableFeatureExtractor(
            settings["columns"], settings["target_mean"], settings["target_std"]
        )
        for one in found.columns:
            Column.of_json(one)
    return found


class TableNetwork(Network):
    """The network of rows of a table: linear layers over the vectors that rows become."""

    auto_class = "AutoModel"
    load_processor = staticmethod(load_processor)
    quantization_methods = ("dynamic", "static")
    free_options = ("mlp_dropout", "initialization")

    def make_processor(
        self,
        options: "Options",
        task: TableClassification,
        splits: "datasets.DatasetDict",
        entry: Any,
    ) -> TableFeatureExtractor:
        """Return what the training rows tell of the columns, or what those of the weights did.

        Raises `UserError` where the weights are not at hand, of another kind, or of other columns.
        """
        if options.model == pretrained.NEW:
            return TableFeatureExtractor(**learned(task, splits["train"]))
        found, _ = own_checkpoint.find(options, TableMlpConfig, entry)
        theirs = load_processor(found.folder)
        columns = {one["name"]: one["kind"] for one in theirs.columns}
        if columns != dict(task.kinds):
            raise UserError(
                f"{options.model} reads the columns {_listed(columns)}, and these are "
                f"{_listed(task.kinds)}: name with `columns` those of the weights, or start from "
                "new ones",
                "model",
            )
        own = learned(task, splits["train"])
        if len(own["target_std"]) != len(theirs.target_std):  # other targets, and so a new head
            theirs.target_mean, theirs.target_std = own["target_mean"], own["target_std"]
        return theirs

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, TableMlpConfig, entry)
        return {
            "hidden_sizes": tuple(config.hidden_sizes),
            "activation": config.hidden_act,
            "mlp_dropout": config.hidden_dropout_prob,
            "initialization": config.initialization,
        }

    def build(
        self, options: "Options", task: Any, processor: TableFeatureExtractor, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights, or a new head, are drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand, or are of another kind.
        """
        settings = task.model_config() | {
            "target_mean": tuple(processor.target_mean),
            "target_std": tuple(processor.target_std),
        }
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, TableMlpConfig, entry)
            config.hidden_dropout_prob = options.mlp_dropout
            config.initialization = options.initialization
            model = own_weights.begin(
                TableMlpForPrediction, config, settings, found.folder, options.model
            )
            return model, found.source(options.model)
        config = TableMlpConfig(
            num_features=sum(Column.of_json(one).width for one in processor.columns),
            hidden_sizes=options.hidden_sizes,
            hidden_dropout_prob=options.mlp_dropout,
            hidden_act=options.activation,
            initialization=options.initialization,
            **settings,
        )
        return TableMlpForPrediction(config), {"model": None, "license": None}

    def prunable_widths(self, model: Any) -> tuple[int, ...]:
        """Return the number of neurons of each hidden layer."""
        return tuple(model.config.hidden_sizes)

    def prune_units(self, model: Any, asked: Sequence[int]) -> "nn.Module":
        """Return the network with `asked` neurons in each hidden layer
        (`zoo.model.perceptron.narrow`)."""
        return perceptron.narrow(model, asked)


def _listed(columns: Any) -> str:
    return own_weights.listed([f"{name} ({kind})" for name, kind in columns.items()])


NETWORK = TableNetwork()
