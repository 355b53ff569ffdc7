"""The deployments that a decision looks at."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.decide.options import maker
from tests.finetuning import finetune
from zoo.deploy.candidate import DeploymentBuilder
from zoo.deploy.export import ExportSource
from zoo.runtimes.deployment import Deployment


def test_eager_is_measured_once_and_what_all_are_compared_with(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    flags = ("--max_steps", 2, "--learning_rate", 1e-3, "--eval_strategy", "no")
    original = ExportSource.open(finetune(tiny_bert, reviews, tmp_path / "run", *flags).folder)
    validation = original.samples("validation")
    expected = original.measured(validation.features).accumulator.state()
    measured: list[Any] = []
    own = ExportSource.measured

    def counted(self: ExportSource, features: Any, runner: Any = None) -> Any:
        measured.append(str(runner.deployment))
        return own(self, features, runner)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExportSource, "measured", counted)
        threads = torch.get_num_threads()
        builder = DeploymentBuilder(original, tmp_path, validation, threads)
        make = maker(builder, None, 0.01)
        made = [make(Deployment.parse(name)) for name in ("eager", "eager+bf16")]
    assert [option.fault for option in made] == ["", ""]
    assert measured == ["eager", "eager+bf16"]
    assert made[0].drop is not None and (made[0].drop.value, made[0].drop.n) == (0.0, 60)
    for name, array in builder.source.accumulator.state().items():
        assert (array == expected[name]).all()
