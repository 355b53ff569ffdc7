"""Which files may go to a repo, or be fetched from one, and what they are called there."""

from fnmatch import fnmatchcase

from zoo.store import checkpoint, evidence
from zoo.store.checkpoint_schema import is_plain

CARD = "README.md"
PROSE = "card.md"
RECORD = checkpoint.MANIFEST
EVIDENCE = evidence.FILE
ONNX = "onnx"
PICTURES = "card/*.png"
RESULTS = ".eval_results/*.yaml"
LARGE = (".safetensors", ".onnx", ".onnx_data")
MANIFEST_END = ".export.json"
BESIDE = (
    "generation_config.json",
    "normalizer.json",
    "chat_template.jinja",
)
PATTERNS = tuple(
    dict.fromkeys(
        (
            *evidence.SUBJECT_FILES,
            *BESIDE,
            CARD,
            PROSE,
            RECORD,
            EVIDENCE,
            PICTURES,
            RESULTS,
            f"{ONNX}/*.onnx",
            f"{ONNX}/*.onnx_data",
            f"{ONNX}/*{MANIFEST_END}",
            f"{ONNX}/*.config.json",
            f"{ONNX}/*.generation_config.json",
        )
    )
)
"""Everything that may go or come. What is not here stays where it is: states of training, logs,
pictures with examples of the data, AOT packages, TorchScript, pickles, code, whatever else."""


def allowed(path: str) -> bool:
    """Return whether a file of a repo may be pushed or pulled, by its path."""
    return is_plain(path) and any(
        path.count("/") == pattern.count("/") and fnmatchcase(path, pattern) for pattern in PATTERNS
    )
