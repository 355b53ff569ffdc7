"""Makes transformers' Auto classes know the networks that are ours: `import zoo.auto`, once.

Then `AutoModelForSequenceClassification.from_pretrained(folder)` and `transformers.pipeline` take
their checkpoints like any other.
"""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForCTC,
    AutoModelForImageClassification,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoProcessor,
    Wav2Vec2Processor,
)

from zoo.nlp.modeling_rnn import RnnConfig, RnnForSequenceClassification, RnnModel
from zoo.speech.log_mel import LogMelFeatureExtractor
from zoo.speech.modeling_conformer import ConformerConfig, ConformerForCTC, ConformerModel
from zoo.speech.modeling_kws import KwsConfig, KwsForAudioClassification, KwsModel
from zoo.vision.modeling_cnn import CnnConfig, CnnForImageClassification, CnnModel
from zoo.vision.modeling_mae import MaeConfig, MaeForPreTraining, MaeModel

AutoConfig.register(RnnConfig.model_type, RnnConfig, exist_ok=True)
AutoModel.register(RnnConfig, RnnModel, exist_ok=True)
AutoModelForSequenceClassification.register(RnnConfig, RnnForSequenceClassification, exist_ok=True)

AutoConfig.register(CnnConfig.model_type, CnnConfig, exist_ok=True)
AutoModel.register(CnnConfig, CnnModel, exist_ok=True)
AutoModelForImageClassification.register(CnnConfig, CnnForImageClassification, exist_ok=True)

AutoConfig.register(MaeConfig.model_type, MaeConfig, exist_ok=True)
AutoModel.register(MaeConfig, MaeModel, exist_ok=True)
AutoModelForPreTraining.register(MaeConfig, MaeForPreTraining, exist_ok=True)

AutoConfig.register(KwsConfig.model_type, KwsConfig, exist_ok=True)
AutoModel.register(KwsConfig, KwsModel, exist_ok=True)
AutoModelForAudioClassification.register(KwsConfig, KwsForAudioClassification, exist_ok=True)
AutoFeatureExtractor.register(KwsConfig, LogMelFeatureExtractor, exist_ok=True)

AutoConfig.register(ConformerConfig.model_type, ConformerConfig, exist_ok=True)
AutoModel.register(ConformerConfig, ConformerModel, exist_ok=True)
AutoModelForCTC.register(ConformerConfig, ConformerForCTC, exist_ok=True)
AutoFeatureExtractor.register(ConformerConfig, LogMelFeatureExtractor, exist_ok=True)
# a feature extractor, whichever, and a tokenizer of characters
AutoProcessor.register(ConformerConfig, Wav2Vec2Processor, exist_ok=True)
