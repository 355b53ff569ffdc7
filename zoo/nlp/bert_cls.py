"""bert_cls: a pretrained encoder with a classification head, fine-tuned on labelled text.

Any encoder that transformers' AutoModelForSequenceClassification takes. Devlin et al. 2018, "BERT:
Pre-training of Deep Bidirectional Transformers for Language Understanding"; the default weights are
all-MiniLM-L6-v2 (Wang et al. 2020, "MiniLM"; Reimers & Gurevych 2019, "Sentence-BERT").

Movie reviews, one epoch, batch 32, seeds 1 to 3, n = 1,500 each: mean test accuracy 0.860 at 207 to
210 samples/s on two cores of an Intel Xeon with AMX, where transformers.Trainer at its best reaches
0.862 at 150 to 153 samples/s (median ratio of the rounds 1.38, 1.36 to 1.40); on two cores of an
AMD EPYC with bf16 0.860 at 107 to 118 samples/s, and Trainer 0.860 at 83 to 89 (1.32, 1.24 to
1.35): `python -m bench.experiments.against_trainer --data $ZOO_DATA/movie_reviews --seeds 1 2 3`.
The learning rate was chosen on the validation split, among 1e-4, 2e-4 and 3e-4.
"""

import sys

from zoo.model.entry import Entry
from zoo.nlp.presets import PRESETS, ZERO_SHOT, Options

ENTRY = Entry(
    name="bert_cls",
    module="zoo.nlp.bert_cls",
    task="tasks.nlp.text_classification",
    summary="pretrained text encoder (BERT, RoBERTa, ModernBERT, ...) with a classification head",
    network="zoo.nlp.pretrained_encoder",
    modality="zoo.nlp.modality",
    options=Options,
    recipe={
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": 32,
        "learning_rate": 2e-4,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
    },
    presets=PRESETS,
    default_preset="minilm",
    zero_shot=ZERO_SHOT,
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
