"""bert_tok: a pretrained encoder with a head that tags every word, fine-tuned on tagged text.

Named entities, parts of speech, punctuation: any encoder that transformers'
AutoModelForTokenClassification takes. Devlin et al. 2018, "BERT: Pre-training of Deep Bidirectional
Transformers for Language Understanding", section 5.3; the default weights are all-MiniLM-L6-v2
(Wang et al. 2020, "MiniLM"; Reimers & Gurevych 2019, "Sentence-BERT").

Punctuation of 20,000 descriptions of packages, one epoch, one run: F1 0.684 at 63.5 samples/s on
two cores of an Intel Xeon with AMX; transformers.Trainer at its best 0.678 at 50.9 samples/s; the
commonest tag of each word 0.435: `python -m bench.experiments.tagging_against_trainer --data
$ZOO_DATA/descriptions --text_column description --max_train_samples 20000 --epochs 1`.
"""

import sys

from zoo.model.entry import Entry
from zoo.nlp.presets import PRESETS, Options

ENTRY = Entry(
    name="bert_tok",
    module="zoo.nlp.bert_tok",
    task="tasks.nlp.token_classification",
    summary="pretrained text encoder that tags every word: entities, parts of speech, punctuation",
    network="zoo.nlp.token_encoder",
    modality="zoo.nlp.modality",
    options=Options,
    recipe={
        "num_train_epochs": 3.0,
        "per_device_train_batch_size": 32,
        "learning_rate": 3e-4,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
    },
    presets=PRESETS,
    default_preset="minilm",
)


if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
