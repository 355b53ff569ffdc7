"""What others do with a repo of ours: transformers' pipeline, huggingface_hub's ModelCard."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import environment
from tests.tools.hub.running import push
from tests.tools.hub.tiny_hub import TinyHub
from zoo.store import evidence

REPO = "user/reviews"
TEXTS = ["the film was truly wonderful", "the plot was rather dull"]
PROGRAM = """
import json, sys
import tasks  # the guard for a torchvision that does not fit torch
from transformers import pipeline
print(json.dumps(pipeline("text-classification", model=sys.argv[1])(json.loads(sys.argv[2]))))
"""


def test_transformers_loads_it_by_its_name(hub: TinyHub, trained: Path) -> None:
    from transformers import pipeline

    push(trained, REPO)
    ours, theirs = (pipeline("text-classification", model=str(m))(TEXTS) for m in (trained, REPO))
    assert ours == theirs
    assert "content" in hub.asked


@pytest.mark.slow
def test_plain_transformers_loads_it(hub: TinyHub, trained: Path, tmp_path: Path) -> None:
    """In a process of its own, which knows of the Hub by HF_ENDPOINT alone, without a token."""
    push(trained, REPO)
    env = environment({"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path)})
    env = {name: value for name, value in env.items() if name not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
    found = []
    for model in (str(trained), REPO):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, model, json.dumps(TEXTS)],
            env=env,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    assert found[0] == found[1]


def test_the_hub_reads_the_card(hub: TinyHub, trained: Path) -> None:
    from huggingface_hub import ModelCard

    push(trained, REPO)
    card = ModelCard.load(REPO)
    card.validate()
    assert "validate" in hub.asked
    subject = evidence.subject_digest(trained)
    measured = {
        fact.id: fact.value
        for fact in evidence.read(trained)
        if (fact.kind, fact.split, fact.subject) == ("metric", "test", subject)
    }
    results = {
        one.metric_args["evidence"].removeprefix("e:"): one.metric_value
        for one in card.data.eval_results
    }
    assert results and results.items() <= measured.items()
