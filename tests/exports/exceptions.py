"""What can't be exported where, and the operator that stands in the way, as zoo.deploy says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Obstacle:
    """Why a runtime can't have a model."""

    operator: str  # as zoo.deploy names it
    said: str  # by the error


NO_SCAN_IN_INDUCTOR = Obstacle("`scan`", "InductorError: KeyError")
NO_SCAN_IN_OPENVINO = Obstacle("`scan`", "failed for: <built-in function getitem>, scan")
NO_SCAN_IN_EXECUTORCH = Obstacle("`scan`", "Propagating input shapes failed")
ONE_SIZE_IN_XNNPACK = Obstacle("`aten.convolution`", "Propagating input shapes failed")
BATCH_OF_EXECUTORCH = Obstacle("`aten.sum`", "operator aten::sum.IntList_out")
ONLY_IN_ONNX = Obstacle("encoder and decoder with a cache", "no encoder and decoder with a cache")
ONE_IN_ONNX = Obstacle("a model with a cache", "no model with a cache")

EXCEPTIONS: dict[tuple[str, str], Obstacle] = {
    ("rnn_cls", "aoti"): NO_SCAN_IN_INDUCTOR,
    ("rnn_cls", "openvino"): NO_SCAN_IN_OPENVINO,
    ("rnn_cls", "executorch"): NO_SCAN_IN_EXECUTORCH,
    ("kws_cls", "executorch"): ONE_SIZE_IN_XNNPACK,
    ("wav2vec2_ctc", "executorch"): ONE_SIZE_IN_XNNPACK,
    ("wav2vec2_ctc_unmasked", "executorch"): ONE_SIZE_IN_XNNPACK,
    ("conformer_ctc", "executorch"): BATCH_OF_EXECUTORCH,
    **{
        ("gpt_lm", runtime): ONE_IN_ONNX
        for runtime in ("pt2", "aoti", "executorch", "torchscript", "openvino")
    },
    **{
        (model, runtime): ONLY_IN_ONNX
        for model in ("t5_seq2seq", "whisper_asr")
        for runtime in ("pt2", "aoti", "executorch", "torchscript", "openvino")
    },
}
"""By tiny model (`tests.tiny_models.MODELS`) and runtime."""
