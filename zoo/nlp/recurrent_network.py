"""The network of rnn_cls: a recurrent classifier with new weights and a tokenizer of its own."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model.loading import load_tokenizer
from zoo.model.network import Network
from zoo.nlp.modeling_rnn import RnnConfig, RnnForSequenceClassification
from zoo.nlp.trained_tokenizer import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.nlp.rnn_cls import Options


def _texts(train: "datasets.Dataset") -> "Iterator[list[str]]":
    columns = [name for name in ("text", "text_pair") if name in train.column_names]
    for rows in train.select_columns(columns).iter(batch_size=1000):
        for name in columns:
            yield rows[name]


class RecurrentNetwork(Network):
    """The network of a recurrent text classifier."""

    auto_class = "AutoModelForSequenceClassification"
    load_processor = staticmethod(load_tokenizer)
    quantization_methods = ("dynamic", "static")

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a tokenizer trained only on the texts of the training split.

        Raises `UserError` for options that make no network.
        """
        if options.cell != "rnn" and options.activation != "tanh":
            raise UserError(
                f"`activation` {options.activation} is for `cell` rnn, and {options.cell} has gates"
            )
        return train_tokenizer(
            _texts(splits["train"]),
            options.tokenizer,
            options.vocab_size,
            options.lowercase,
            options.token_limit,
        )

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the longest input in tokens."""
        return options.token_limit

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32 with weights drawn from torch's global random state; seed it
        first."""
        config = RnnConfig(
            vocab_size=len(processor),
            embedding_size=options.embedding_size,
            hidden_size=options.hidden_size,
            num_hidden_layers=options.num_layers,
            cell=options.cell,
            bidirectional=options.bidirectional,
            pooling=options.pooling,
            hidden_dropout_prob=options.rnn_dropout,
            initialization=options.initialization,
            hidden_act=options.activation,
            pad_token_id=processor.pad_token_id,
            **task.model_config(),
        )
        return RnnForSequenceClassification(config), {"model": None, "license": None}


NETWORK = RecurrentNetwork()
