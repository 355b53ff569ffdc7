"""The card of a repo that has a checkpoint's ONNX programs and not its weights."""

import shlex
from pathlib import Path

from tools.hub import layout
from tools.hub.onnx_layout import IN_REPO
from zoo.model.modality import Modality, modality_of
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.onnx_generation import PROGRAMS

BASE = "variant_of"
"""The key of a published zoo.json that names the repo with the weights."""
LEFT = ("model-index", "metrics", "base_model", "base_model_relation")
"""The parts of the base's metadata that are about its weights, and that a variant leaves out."""


def card(folder: Path) -> str:
    """README.md of such a repo, rendered from the records in a folder laid out as a checkpoint."""
    from bench.record.markdown import code
    from tools.cards import deployments, metadata, record
    from tools.cards.facts import Facts
    from tools.cards.tables import table

    found = record.read(folder)
    base, repo = str(found.manifest[BASE]), str(found.card_text.front.get("repo", ""))
    said = {k: v for k, v in metadata.of_record(found).items() if k not in LEFT}
    said |= {"library_name": "onnx", "tags": ["onnx", *said.get("tags", [])]}
    said |= {"base_model": base, "base_model_relation": "quantized"}
    rows = [
        (code(place), code(str(artifact.deployment)), _bits(artifact))
        for artifact in found.artifacts
        for name, place in artifact.manifest[IN_REPO].items()
        if name.endswith(".onnx")
    ]
    paragraphs = [
        f"# {base} for ONNX Runtime",
        f"The programs of [{base}](https://huggingface.co/{base}), which has the weights, the "
        "metrics and how it was trained.",
        table(("file", "deployment", "weights"), rows, numbers=3),
        "## Use",
        _use(repo, found.artifacts[0], modality_of(found.entry), rows[0][0].strip("`")),
        *deployments.section(Facts(found)),
        "## Verify",
        f"Every measured number here is a fact of `{layout.EVIDENCE}`: its id stands behind it as "
        "a comment in the source of this page.",
        f"```sh\npython -m tools.hub verify {shlex.quote(repo)}\n```",
    ]
    return f"---\n{metadata.dump(said)}\n---\n\n" + "\n\n".join(paragraphs) + "\n"


def _bits(artifact: Artifact) -> str:
    numerics = artifact.deployment.numerics
    return numerics.partition("-")[0] if numerics.startswith("int") else "fp32"


def _use(repo: str, artifact: Artifact, modality: Modality, program: str) -> str:
    imports, made = modality.program_inputs(repo)
    if PROGRAMS in artifact.manifest:  # a cache is among its inputs
        imports, made = [], []
    lines = [
        "import onnxruntime",
        "from huggingface_hub import hf_hub_download",
        *imports,
        "",
        f'session = onnxruntime.InferenceSession(hf_hub_download("{repo}", "{program}"))',
    ]
    if made:
        lines += [*made, "print(session.run(None, inputs))"]
    else:
        lines.append("print([(put.name, put.type, put.shape) for put in session.get_inputs()])")
    return "\n".join(["```python", *lines, "```"])
