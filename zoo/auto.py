"""Makes transformers' Auto classes know the networks that are ours: `import zoo.auto`, once.

Then `AutoModelForSequenceClassification.from_pretrained(folder)` and `transformers.pipeline` take
their checkpoints like any other.
"""

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from zoo.nlp.modeling_rnn import RnnConfig, RnnForSequenceClassification, RnnModel

AutoConfig.register(RnnConfig.model_type, RnnConfig, exist_ok=True)
AutoModel.register(RnnConfig, RnnModel, exist_ok=True)
AutoModelForSequenceClassification.register(RnnConfig, RnnForSequenceClassification, exist_ok=True)
