"""mlp_tab: a multilayer perceptron on rows of a table, columns of numbers and categories, to a
label, several labels or numbers, from scratch or from a checkpoint.

Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors"; for what a
perceptron is worth beside trees, Gorishniy et al. 2021, "Revisiting Deep Learning Models for
Tabular Data". Numbers are scaled, categories are 1 in a place of their own; what is missing is the
mean, and a mark says so where training had such rows.
"""

import sys
from dataclasses import dataclass

from tasks.bounds import BelowOne, Bounded, Count
from zoo.model.entry import Entry
from zoo.model.scratch import Activation, Initialization


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: the folder of a checkpoint of mlp_tab, whose shape and columns are
    kept; none: new weights, shaped by what follows"""
    hidden_sizes: tuple[Count, ...] = (128, 128)
    """neurons of each hidden layer; no value: a linear model"""
    mlp_dropout: BelowOne = 0.1
    """dropout of the hidden neurons"""
    activation: Activation = "relu"
    """nonlinearity of the hidden layers"""
    initialization: Initialization = "default"
    """first weights; default is torch's own, uniform up to 1 / sqrt(inputs)"""


ENTRY = Entry(
    name="mlp_tab",
    module="zoo.tabular.mlp_tab",
    task="tasks.tabular.table_classification",
    summary="multilayer perceptron from scratch on tables, labels or numbers",
    network="zoo.tabular.table_network",
    modality="zoo.tabular.modality",
    options=Options,
    recipe={
        "num_train_epochs": 30.0,
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 1024,
        "learning_rate": 2e-3,
        "weight_decay": 0.02,
        "warmup_steps": 0.1,
    },
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
