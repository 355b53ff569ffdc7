"""`.eval_results/*.yaml`: results on data sets that are benchmarks of the Hub.

https://huggingface.co/docs/hub/eval-results says what they hold. Which data sets are benchmarks,
and what their tasks are called, only the Hub knows (its list is not public, `eval.yaml` lies in the
data set), so `card.md` has to say it; nothing is written otherwise.
"""

import re
from collections.abc import Mapping

from tasks.atomic import write_text
from tools.cards.facts import Facts
from tools.cards.metadata import hub_revision
from tools.cards.record import Record

FOLDER = ".eval_results"


def files(record: Record) -> Mapping[str, str]:
    """The files by name: one for each benchmark that the weights were measured on."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    made = {}
    for benchmark, said in record.card_text.front.get("benchmarks", {}).items():
        for fact in Facts(record).results:
            dataset = fact.dataset or {}
            known = hub_revision(dataset)
            if known is None or dataset["name"] != benchmark or fact.name != said["metric"]:
                continue
            entry = EvalResultEntry(
                dataset_id=benchmark,
                task_id=said["task_id"],
                value=fact.value,
                dataset_revision=known[0],
                date=fact.time,
                notes=f"n = {fact.n}, evidence {fact.id}",
            )
            name = re.sub(r"[^\w.-]+", "_", benchmark) + ".yaml"
            entries = eval_result_entries_to_yaml([entry])
            made[name] = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)
    return made


def write(record: Record) -> None:
    """Writes them into the checkpoint."""
    for name, text in files(record).items():
        (record.folder / FOLDER).mkdir(exist_ok=True)
        write_text(record.folder / FOLDER / name, text)
