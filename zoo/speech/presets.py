"""Pretrained speech models by name. None of them has run here: no weights were at hand."""

from collections.abc import Mapping

from zoo.model.entry import Preset

# WavLM's card points to the licence of github.com/microsoft/UniSpeech
_WAVLM = "CC-BY-SA-3.0"

ENCODERS: Mapping[str, Preset] = {
    "wav2vec2-base": Preset(repo="facebook/wav2vec2-base", license="Apache-2.0"),
    "hubert-base": Preset(repo="facebook/hubert-base-ls960", license="Apache-2.0"),
    "wavlm-base-plus": Preset(repo="microsoft/wavlm-base-plus", license=_WAVLM),
}

CLASSIFIERS: Mapping[str, Preset] = {
    "ast-audioset": Preset(repo="MIT/ast-finetuned-audioset-10-10-0.4593", license="BSD-3-Clause"),
    "ast-speech-commands": Preset(
        repo="MIT/ast-finetuned-speech-commands-v2", license="BSD-3-Clause"
    ),
    **ENCODERS,
}

RECOGNIZERS: Mapping[str, Preset] = {
    **ENCODERS,
    "wav2vec2-base-960h": Preset(repo="facebook/wav2vec2-base-960h", license="Apache-2.0"),
    "hubert-large-ls960-ft": Preset(repo="facebook/hubert-large-ls960-ft", license="Apache-2.0"),
    "wav2vec2-xls-r-300m": Preset(repo="facebook/wav2vec2-xls-r-300m", license="Apache-2.0"),
}

WHISPERS: Mapping[str, Preset] = {
    "whisper-tiny": Preset(repo="openai/whisper-tiny", license="Apache-2.0"),
    "whisper-base": Preset(repo="openai/whisper-base", license="Apache-2.0"),
    "whisper-small": Preset(repo="openai/whisper-small", license="Apache-2.0"),
}
