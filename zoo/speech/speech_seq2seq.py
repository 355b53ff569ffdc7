"""The network of whisper_asr: Whisper out of transformers, told its language and task once.

Both go into the tokenizer (what a text begins with in training) and into the generation config
(what it begins with when it is written), so that plain transformers writes the same from the
checkpoint.
"""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError, did_you_mean
from zoo.model.loading import load_config, load_json, load_model, load_tokenizer
from zoo.speech import ctc_processor
from zoo.speech.ctc_processor import CtcProcessor
from zoo.speech.pretrained_speech import PretrainedSpeech, make_extractor, make_model
from zoo.store import pretrained

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task, Tensors
    from zoo.runtimes.stages import Stage
    from zoo.speech.whisper_asr import Options

PREFIX = 4  # tokens at most: start, language, task, no timestamps


def _multilingual(folder: "Path") -> bool:
    """Return whether weights know more languages than English: by their generation config, or by
    the vocabulary size."""
    name = "generation_config.json"
    if (folder / name).is_file() and "is_multilingual" in (found := load_json(folder, name)):
        return bool(found["is_multilingual"])
    config = load_config(folder)
    return bool(config.vocab_size != 51_864)  # that of the English-only weights


def _code(language: str) -> str:
    from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

    name = language.lower()
    if name in LANGUAGES:
        return name
    if name not in TO_LANGUAGE_CODE:
        raise UserError(
            f"`language` {language}: Whisper has none of that name",
            hint=did_you_mean(name, TO_LANGUAGE_CODE),
        )
    return str(TO_LANGUAGE_CODE[name])


def _settle_generation(model: Any, tokenizer: Any, max_new_tokens: int) -> None:
    """Set a model's generation config to greedy decoding in the tokenizer's language, without
    timestamps."""
    config = model.generation_config
    config._from_model_config = False  # else what is Whisper's own is lost when it is read
    config.decoder_start_token_id = tokenizer.prefix_tokens[0]
    config.eos_token_id = tokenizer.eos_token_id
    pad = tokenizer.pad_token_id  # some weights name none, and Whisper's own is its end
    config.pad_token_id = tokenizer.eos_token_id if pad is None else pad
    config.no_timestamps_token_id = tokenizer.convert_tokens_to_ids("<|notimestamps|>")
    config.forced_decoder_ids = None
    config.return_timestamps = False
    config.do_sample, config.num_beams = False, 1
    config.max_length = None
    config.max_new_tokens = min(max_new_tokens, model.config.max_target_positions - PREFIX)
    config.is_multilingual = tokenizer.language is not None
    config.language, config.task = tokenizer.language, tokenizer.task
    if config.is_multilingual:
        vocabulary = tokenizer.get_vocab()
        config.lang_to_id = {
            token: i
            for token, i in vocabulary.items()
            if token.startswith("<|") and token[2:-2].lower() in _codes()
        }
        config.task_to_id = {
            name: vocabulary[f"<|{name}|>"]
            for name in ("transcribe", "translate")
            if f"<|{name}|>" in vocabulary
        }


def _codes() -> "set[str]":
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return set(LANGUAGES)


def _must_fit(name: str, model: Any, processor: CtcProcessor) -> None:
    """Raise `UserError` if the extractor gives another number of frames than Whisper takes."""
    takes = 2 * int(getattr(model.config, "max_source_positions", 0))
    gives = getattr(processor.feature_extractor, "nb_max_frames", None)
    if gives != takes:
        raise UserError(
            f"{name} takes {takes} frames, and its preprocessor_config.json makes {gives}: "
            "take both from one place"
        )


class SpeechSeq2Seq(PretrainedSpeech):
    """The network of Whisper: an encoder and a decoder that generates text."""

    auto_class = "AutoModelForSpeechSeq2Seq"
    load_processor = staticmethod(ctc_processor.load_processor)

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> CtcProcessor:
        """Return the feature extractor and the tokenizer of the weights, for the language and task.

        Raises `UserError` where the weights are not at hand, or have no such language.
        """
        from transformers import WhisperTokenizer

        extractor = make_extractor(options.model, entry)
        folder = pretrained.find(options.model, entry.presets).folder
        spoken: dict[str, Any] = {}
        if _multilingual(folder):
            asked = "translate" if options.translate else "transcribe"
            spoken = {"language": _code(options.language), "task": asked}
        elif options.translate:
            raise UserError(
                f"`translate`: {options.model} writes English only, and only what is said"
            )
        tokenizer = load_tokenizer(folder, WhisperTokenizer, **spoken)
        if spoken:  # transformers counts its id from that of the first
            token = tokenizer.convert_ids_to_tokens(tokenizer.prefix_tokens[1])
            if token != f"<|{spoken['language']}|>":
                raise UserError(
                    f"`language` {options.language}: {options.model} has no token for it"
                )
        return CtcProcessor(extractor, tokenizer)

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the number of positions of the decoder, in tokens."""
        config = load_config(pretrained.find(options.model, entry.presets).folder)
        return int(config.max_target_positions)

    def build(
        self, options: "Options", task: "Task", processor: CtcProcessor, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        Raises `UserError` where the weights are not at hand or write no text.
        """
        from zoo.speech.modeling_whisper import WhisperForConditionalGeneration as Whisper

        kind = load_config(pretrained.find(options.model, entry.presets).folder).model_type
        if kind != "whisper":
            raise UserError(f"{options.model} is a {kind}, and no Whisper")
        model, source = make_model(Whisper, options.model, entry, "decoder", {})
        _must_fit(options.model, model, processor)
        _settle_generation(model, processor.tokenizer, options.max_new_tokens)
        return model, source

    def stages(self, model: Any, example: "Tensors") -> "dict[str, Stage]":
        """Return the encoder and the decoder that it is exported as (`Network.stages`)."""
        from zoo.runtimes.encoder_decoder_export import encoder_decoder_stages

        return encoder_decoder_stages(model, example, int(model.config.max_target_positions))

    def load(self, folder: "Path") -> tuple["nn.Module", Any]:
        """Return model and processor of a checkpoint (`Network.load`). Raises `UserError` if they
        do not fit each other."""
        from zoo.speech.modeling_whisper import WhisperForConditionalGeneration as Whisper

        model, processor = load_model(Whisper, folder), self.load_processor(folder)
        _must_fit(str(folder), model, processor)
        return model, processor


NETWORK = SpeechSeq2Seq()
