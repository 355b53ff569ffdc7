"""Makes transformers' Auto classes know the networks that are ours: `import zoo.auto`, once.

Then `AutoModelForSequenceClassification.from_pretrained(folder)` and `transformers.pipeline` take
their checkpoints like any other. Each network registers itself where it is defined. Word vectors
are among them without a name here: `AutoModel` loads them, and there is nothing that they compute
of a text.
"""

import zoo.nlp.modeling_word_vectors  # noqa: F401  registers itself
from zoo.nlp.modeling_rnn import RnnConfig, RnnForSequenceClassification, RnnModel
from zoo.speech.log_mel import LogMelFeatureExtractor
from zoo.speech.modeling_conformer import ConformerConfig, ConformerForCTC, ConformerModel
from zoo.speech.modeling_kws import KwsConfig, KwsForAudioClassification, KwsModel
from zoo.speech.modeling_stream import StreamConfig, StreamForCTC, StreamModel
from zoo.tabular.modeling_mlp import TableMlpConfig, TableMlpForPrediction, TableMlpModel
from zoo.tabular.table_processor import TableFeatureExtractor
from zoo.vision.modeling_cnn import CnnConfig, CnnForImageClassification, CnnModel
from zoo.vision.modeling_ddpm import DdpmConfig, DdpmForPreTraining, DdpmModel
from zoo.vision.modeling_fcos import FcosConfig, FcosForObjectDetection, FcosModel
from zoo.vision.modeling_mae import MaeConfig, MaeForPreTraining, MaeModel
from zoo.vision.modeling_mlp import MlpConfig, MlpForImageClassification, MlpModel
from zoo.vision.modeling_unet import UnetConfig, UnetForSemanticSegmentation, UnetModel
from zoo.vision.modeling_vae import VaeConfig, VaeForPreTraining, VaeModel

__all__ = [
    "CnnConfig",
    "CnnForImageClassification",
    "CnnModel",
    "ConformerConfig",
    "ConformerForCTC",
    "ConformerModel",
    "DdpmConfig",
    "DdpmForPreTraining",
    "DdpmModel",
    "FcosConfig",
    "FcosForObjectDetection",
    "FcosModel",
    "KwsConfig",
    "KwsForAudioClassification",
    "KwsModel",
    "LogMelFeatureExtractor",
    "MaeConfig",
    "MaeForPreTraining",
    "MaeModel",
    "MlpConfig",
    "MlpForImageClassification",
    "MlpModel",
    "RnnConfig",
    "RnnForSequenceClassification",
    "RnnModel",
    "StreamConfig",
    "StreamForCTC",
    "StreamModel",
    "TableFeatureExtractor",
    "TableMlpConfig",
    "TableMlpForPrediction",
    "TableMlpModel",
    "UnetConfig",
    "UnetForSemanticSegmentation",
    "UnetModel",
    "VaeConfig",
    "VaeForPreTraining",
    "VaeModel",
]
