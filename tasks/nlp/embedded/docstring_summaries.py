"""Docstrings of installed libraries, what they explain and the first line that sums it up: data for
summaries that are on every machine.

The source is the first prose below the first line, the target that line. Files are parted into
splits as in `tasks.nlp.embedded.docstrings`; identifiers stay, as both texts speak of the same.
"""

from typing import TYPE_CHECKING

from tasks.data import arrow_copy, cache
from tasks.nlp.embedded import docstring_text, docstrings

if TYPE_CHECKING:
    import datasets

RECIPE = 1
"""Part of the cache's key: raise it with every change to what the same libraries give."""
SIZES = {"train": 500, "validation": 60, "test": 60}
"""Examples of each library at most."""
MOST_SUMMARY_WORDS = 25


def load() -> "datasets.DatasetDict":
    """Return the splits train, validation and test with the columns text and summary, strings.

    The first call takes about 10 seconds; later ones open the copy in `tasks.data.cache.folder()`.
    Raises `UserError` where one of the libraries is not installed.
    """
    import datasets

    key = docstrings.key_of(f"summaries {RECIPE}")
    home = cache.folder() / "docstring-summaries" / key
    copies = {name: home / f"{name}.arrow" for name in SIZES}
    if not all(copy.exists() for copy in copies.values()):
        import pyarrow as pa

        for name, pairs in collect().items():
            texts, summaries = ([pair[i] for pair in pairs] for i in (0, 1))
            arrow_copy.write(copies[name], pa.table({"text": texts, "summary": summaries}))
    return datasets.DatasetDict(
        {
            name: arrow_copy.read(copy, name, f"docstring-summaries-{key}-{name}")
            for name, copy in copies.items()
        }
    )


def collect() -> dict[str, list[tuple[str, str]]]:
    """Return the text and the summary of each example by split, in an order that mixes the
    libraries; neither stands twice."""
    splits: dict[str, list[tuple[str, str]]] = {name: [] for name in SIZES}
    seen: set[str] = set()
    for library in docstrings.LIBRARIES:
        counts = dict.fromkeys(SIZES, 0)
        for relative, file in docstrings.sources(library):
            split = docstrings.split_of(relative)
            if counts[split] == SIZES[split]:
                continue
            for pair in filter(None, map(pair_of, docstrings.few_of(file))):
                if counts[split] < SIZES[split] and seen.isdisjoint(pair):
                    seen.update(pair)
                    counts[split] += 1
                    splits[split].append(pair)
    return {
        name: sorted(pairs, key=lambda pair: docstrings.hash_of(pair[0]))
        for name, pairs in splits.items()
    }


def pair_of(docstring: str) -> tuple[str, str] | None:
    """Return what a docstring explains and the line that sums it up; None where it has no such two
    parts in plain sentences. `docstring` is clean (`inspect.cleandoc`)."""
    first, _, rest = docstring.partition("\n\n")
    summary = " ".join(first.split())
    text = docstring_text.first_prose(rest.strip("\n"))
    few = len(docstring_text.words(summary)) < 3 or not summary.endswith(".")
    if few or len(summary.split()) > MOST_SUMMARY_WORDS or text is None:
        return None
    if any(mark in summary for mark in "`:*<>|\\") or not docstring_text.is_english(text):
        return None
    return text, summary
