"""What the page knows of each served model: `GET /page/models.json`.

Examples come from the embedded data, and only for models that were trained on them, or that take
any input; a model of other data gets the example of its task. Inputs out of a checkpoint's own data
are never shown: whoever opens the page need not have a right to them.
"""

import importlib
import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.store.checkpoint import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.serve.description import Description

EMBEDDED = "embedded"
"""The name of the data that comes with the project, as a checkpoint has it."""
MOST_LABELS = 200
"""Labels that the page lists; the scores of an answer name the others."""
LONGEST_LABEL = 80  # characters

TITLES = {  # by the name of the task
    "text-classification": {"en": "Text classification", "zh": "文本分类"},
    "token-classification": {"en": "Marking words", "zh": "序列标注"},
    "fill-mask": {"en": "Filling in missing words", "zh": "填补缺词"},
    "text-generation": {"en": "Writing text", "zh": "文本生成"},
    "text2text-generation": {"en": "Writing one text from another", "zh": "由文本生成文本"},
    "word-vectors": {"en": "Words of like meaning", "zh": "近义词"},
    "tabular-classification": {"en": "Labels and numbers of rows", "zh": "表格预测"},
    "image-classification": {"en": "Image classification", "zh": "图像分类"},
    "image-segmentation": {"en": "Image segmentation", "zh": "图像分割"},
    "object-detection": {"en": "Finding things in images", "zh": "目标检测"},
    "masked-image": {"en": "Restoring images", "zh": "图像复原"},
    "image-diffusion": {"en": "New images", "zh": "图像生成"},
    "image-density": {"en": "Likelihood of images", "zh": "图像似然"},
    "audio-classification": {"en": "Sound classification", "zh": "声音分类"},
    "automatic-speech-recognition": {"en": "Speech recognition", "zh": "语音识别"},
}
"""What people call a task; one that is not here goes by its own name."""

TEXTS = {  # by the name of the task
    "text-classification": (
        "Return the eigenvalues of a symmetric matrix.",
        "Calculate the mean of each group, leaving out missing values.",
        "Draw a horizontal line across the axes.",
    ),
    "token-classification": (
        "returns a dataframe or none if there are no rows",
        "if true the axes are shared otherwise each plot has its own",
    ),
    "fill-mask": ("the [MASK] of the function", "Return a [MASK] of the [MASK] array."),
}
ZERO_SHOT = {  # what the labels are given with
    "text": "Two late goals turned the match around.",
    "labels": "sport, politics, weather",
}
FILES = {  # in the folder `examples`
    "image-classification": ("digit-3.png", "digit-7.png", "digit-8.png"),
    "audio-classification": ("yes.wav", "go.wav", "down.wav"),
    "automatic-speech-recognition": ("six-zero.wav", "nine-seven-three.wav"),
}
ANSWERS = {  # by the problem type of a classifier
    "single_label_classification": "label",
    "multi_label_classification": "labels",
}


def as_json(models: Mapping[str, "Description"]) -> dict[str, Any]:
    """Return the content of models.json: `models`, in the order in which they are served.

    A model has

    - `name`, `title` ({"en", "zh"}), `task`, `deployment`, `sha256`;
    - `kind` of its input ("text", "image", "audio"), `unit` of its length, `pair` (two texts),
      `mask` (the text that stands for a missing word, or null), `live` (it transcribes, so its
      sound may be streamed), `writes` (it goes on with its input, and is read while it does),
      `chats` (it answers it), `zero_shot` (it takes the labels with the input);
    - `answer`, how its predictions read ("label", "labels", "number", "numbers", "spans",
      "guesses", "areas", "boxes", "text"), `labels`, and how many there are in all
      (`label_count`);
    - `examples`: {"text"(, "text_pair", "labels")}, or {"file": an address relative to the page}.
    """
    return {"models": [_of(one) for one in models.values()]}


def _of(model: "Description") -> dict[str, Any]:
    task = model.task
    labels = [str(label) for label in task.labels]
    answer = _answer(task)
    mask = model.mask if answer == "guesses" else None
    zero_shot = answer == "label" and not labels
    return {
        "name": model.name,
        "title": TITLES.get(task.name, {"en": task.name, "zh": task.name}),
        "task": task.name,
        "kind": "text" if model.kind == "row" else model.kind,  # a row is typed, as JSON
        "pair": model.takes_pairs,
        "mask": mask,
        "answer": answer,
        "zero_shot": zero_shot,
        "labels": [_cut(label, LONGEST_LABEL) for label in labels[:MOST_LABELS]],
        "label_count": len(labels),
        "unit": task.unit,
        "examples": _zero_shot_examples(model) if zero_shot else _examples(model, mask),
        "live": answer == "text" and model.kind == "audio",
        "writes": task.name == "text-generation",
        "chats": bool(getattr(task, "is_chat", False)),
        "deployment": model.deployment,
        "sha256": model.sha256,
    }


def _answer(task: Any) -> str:
    """Return how the predictions of a task read."""
    problem_type = getattr(task, "problem_type", None)  # of classifiers alone
    if problem_type == "regression":
        return "numbers" if len(task.labels) > 1 else "number"
    if problem_type is not None:
        return ANSWERS[problem_type]
    by_task = {"token-classification": "spans", "fill-mask": "guesses", "object-detection": "boxes"}
    by_task["image-segmentation"] = "areas"
    return by_task.get(task.name, "text")


def _zero_shot_examples(model: "Description") -> list[dict[str, str]]:
    return [ZERO_SHOT] if model.kind == "text" else []


def _examples(model: "Description", mask: str | None) -> list[dict[str, str]]:
    """Return examples for a model; `mask` is what stands for a missing word, if anything does."""
    name, trained_on = model.task.name, _data_of(model.folder)
    fits = trained_on in (None, EMBEDDED) or mask is not None
    if model.kind == "row":
        columns: Any = model.task.schema  # type: ignore[attr-defined]
        row = {one.name: one.example() for one in columns} if fits else {}
        return [{"text": json.dumps(row, ensure_ascii=False)}] if row else []
    if model.kind != "text":
        return [{"file": f"page/examples/{file}"} for file in FILES.get(name, ()) if fits]
    texts = list(TEXTS.get(name, ())) if fits else []
    if not texts:
        flag, _, text = importlib.import_module(model.entry.task).EXAMPLE_INPUT.partition(" ")
        texts = shlex.split(text) if flag in ("--text", "--prompt") else []
    if model.takes_pairs:
        return [{"text": text, "text_pair": text} for text in texts[:1]]
    return [{"text": text.replace("[MASK]", mask or "[MASK]")} for text in texts]


def _data_of(folder: "Path") -> str | None:
    """Return the name of the data that a checkpoint was trained on; None for pretrained weights,
    which no data of ours stand behind."""
    try:
        return str(read_manifest(folder)["data"]["name"])
    except UserError:
        return None


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
