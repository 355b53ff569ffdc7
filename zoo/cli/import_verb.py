"""The verb import of `python -m zoo`: weights that were trained elsewhere become a checkpoint."""

from collections.abc import Callable, Sequence
from typing import Any

from zoo.cli.program import Verb
from zoo.model import registry

SUMMARY = "make a checkpoint of weights that were trained elsewhere"
EXAMPLES = (
    "import resnet18.pth --as resnet_cls --labels cat,dog --output_dir runs/pets",
    "import trainer_output/ --as bert_cls --output_dir runs/reviews",
    "import bert.pth --as bert_cls --base bert-base-uncased",
)


def verb(parse: Callable[[str, type, Sequence[str]], Any]) -> Verb:
    """Return the verb; `parse` reads its words, given its name and the class of its flags."""

    def run(words: Sequence[str]) -> int:
        from zoo.cli.args import ImportArgs

        asked = parse("import", ImportArgs, words)
        registry.find(asked.as_)  # at once, before anything heavy is imported
        from zoo.convert.import_weights import import_weights

        import_weights(asked)
        return 0

    return Verb(SUMMARY, EXAMPLES, run)
