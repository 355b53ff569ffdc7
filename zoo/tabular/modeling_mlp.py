"""Classification and regression of rows of a table by a multilayer perceptron; see
`zoo.model.perceptron`."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    SequenceClassifierOutput,
)
from transformers.utils import can_return_tuple

from zoo.model.modeling import hidden_states, register
from zoo.model.perceptron import PerceptronPreTrainedModel, hidden_layers


class TableMlpConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a multilayer perceptron for tables; see `zoo.tabular.mlp_tab.Options`."""

    model_type = "zoo_table_mlp"

    num_features: int = 4  # numbers that a row becomes
    hidden_sizes: tuple[int, ...] = (128, 128)  # neurons of each hidden layer; none: linear
    hidden_dropout_prob: float = 0.0
    hidden_act: str = "relu"
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"
    target_mean: tuple[float, ...] = ()  # of each number to predict, in its unit
    target_std: tuple[float, ...] = ()


class TableMlpPreTrainedModel(PerceptronPreTrainedModel):
    """The base class for loading, saving and initialization of the perceptron for tables."""

    config_class = TableMlpConfig
    main_input_name = "features"


class TableMlpModel(TableMlpPreTrainedModel):
    """The hidden layers of a perceptron for tables."""

    def __init__(self, config: TableMlpConfig) -> None:
        super().__init__(config)
        self.layers = hidden_layers(config.num_features, config)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        features: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Return what the last hidden layer makes, [b, hidden_sizes[-1]], of rows as vectors [b,
        num_features]. Hidden states are the vectors, and what each layer makes."""
        states = self.hidden_states_list(output_hidden_states, output_attentions)
        x = features
        for layer in self.layers:
            if states is not None:
                states.append(x)
            x = layer(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=x, pooler_output=x, hidden_states=hidden_states(states, x)
        )


class TableMlpForPrediction(TableMlpPreTrainedModel):
    """A perceptron for tables with a linear head, whose numbers have the unit of the labels."""

    def __init__(self, config: TableMlpConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.loss_type = "ForSequenceClassification"  # one target a row; no name here tells it
        self.mlp = TableMlpModel(config)
        last = (config.num_features, *config.hidden_sizes)[-1]
        self.dropout = nn.Dropout(config.hidden_dropout_prob if config.hidden_sizes else 0.0)
        self.classifier = nn.Linear(last, config.num_labels)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        features: Tensor,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Return logits [b, labels], of a regression the numbers in the unit of the labels; given
        `labels`, transformers' loss for the problem type as well."""
        base = self.mlp(
            features,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        logits = self.classifier(self.dropout(base.pooler_output))
        if self.config.target_std:
            # bf16 has three digits, which are too few of a number in the thousands
            precise = torch.promote_types(logits.dtype, torch.float32)
            std = logits.new_tensor(self.config.target_std, dtype=precise)
            mean = logits.new_tensor(self.config.target_mean, dtype=precise)
            logits = logits * std + mean
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=base.hidden_states)


register(TableMlpConfig, AutoModel=TableMlpForPrediction)
