"""The embedded text: what library does this sentence come from?

Each example is the first prose of a docstring of an installed library, read from its source without
importing it, and the label is the library. Names of libraries, identifiers, module paths, versions,
formulas and addresses are masked with "_", so that the subject and the manner have to tell.

What it is: several thousand pieces of real technical English, there after the installation, with no
network and no file beside it; enough to see a model learn, a metric move, a deployment keep its
accuracy. With the same versions of the libraries it is the same to the last bit.

What it is not: a benchmark. Nobody reports numbers on it, it changes with the libraries' versions,
the classes differ in subject (plots, tables, symbols, tensors) more than in language, and what is
left of a library's jargon helps: logistic regression on TF-IDF gets three in four right, where
chance is one in six. Splits are cut by source file, but a library's files have authors in common.
"""

import ast
import dataclasses
import gc
import hashlib
import importlib.metadata
import importlib.util
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import arrow_copy, cache
from tasks.errors import UserError
from tasks.nlp.embedded import docstring_text

if TYPE_CHECKING:
    import datasets

RECIPE = 2
"""Part of the cache's key: raise it with every change to what the same libraries give."""

LIBRARIES = {  # distribution (the label) -> package
    "matplotlib": "matplotlib",
    "networkx": "networkx",
    "pandas": "pandas",
    "scikit-learn": "sklearn",
    "sympy": "sympy",
    "torch": "torch",
}
NAMES = frozenset(
    [
        "matplotlib",
        "mpl",
        "pyplot",
        "plt",
        "pylab",
        "mplot3d",
        "pandas",
        "pd",
        "scikit-learn",
        "scikit",
        "sklearn",
        "scipy",
        "sympy",
        "torch",
        "pytorch",
        "libtorch",
        "torchvision",
        "torchaudio",
        "torchscript",
        "numpy",
        "np",
    ]
)
SIZES = {"train": 1000, "validation": 125, "test": 125}
"""Examples of each library at most."""
MOST_OF_A_FILE = 30
"""A file has one subject: a long one must not be half of a library's test split."""
FILES_OF_A_WORD = 3  # a name that the prose of so many files uses is a word of the subject
SURPLUS = 1.25  # read per library, for what masking and duplicates take away

# Folders of tests and of code that belongs to other projects.
FOREIGN = frozenset(
    [
        "tests",
        "testing",
        "test",
        "benchmarks",
        "externals",
        "_vendor",
        "_vendored",
        "vendored",
        "_lib",
        "_antlr",
    ]
)


def load() -> "datasets.DatasetDict":
    """The splits train, validation and test with the columns text (string) and label (ClassLabel).

    The first call takes about 10 seconds; later ones open the copy in `tasks.data.cache.folder()`.
    Raises `UserError` where one of the libraries is not installed.
    """
    import datasets

    key = key_of(f"recipe {RECIPE}")
    home = cache.folder() / "docstrings" / key
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(LIBRARIES))}
    )
    copies = {name: home / f"{name}.arrow" for name in SIZES}
    if not all(copy.exists() for copy in copies.values()):
        import pyarrow as pa

        for name, examples in collect().items():
            columns = {
                "text": [example.text for example in examples],
                "label": [list(LIBRARIES).index(example.library) for example in examples],
            }
            arrow_copy.write(copies[name], pa.table(columns, schema=features.arrow_schema))
    return datasets.DatasetDict(
        {
            name: arrow_copy.read(copy, name, f"docstrings-{key}-{name}")
            for name, copy in copies.items()
        }
    )


@dataclasses.dataclass(frozen=True)
class Example:
    """An example: its text, and the file it stands in."""

    text: str
    library: str
    file: str  # "sklearn/svm/_base.py"


def collect() -> dict[str, list[Example]]:
    """The examples of each split, masked, in an order that mixes the libraries."""
    found, defined = {}, {}
    collecting = gc.isenabled()
    gc.disable()  # syntax trees have no cycles, and looking for them takes a quarter of the time
    try:
        for library in LIBRARIES:
            found[library], defined[library] = _read(library)
    finally:
        if collecting:
            gc.enable()
    vocabulary = {library: _files_by_word(texts) for library, texts in found.items()}
    examples = []
    for library, texts in found.items():
        others = set().union(*(vocabulary[other] for other in LIBRARIES if other != library))
        secret = NAMES | {
            name
            for name in defined[library]
            if name not in others and _is_jargon(name, vocabulary[library][name], others)
        }
        for example in texts:
            text = docstring_text.mask(example.text, secret)
            if docstring_text.is_english(text):
                examples.append(dataclasses.replace(example, text=text))
    splits: dict[str, list[Example]] = {name: [] for name in SIZES}
    counts = Counter[tuple[str, str]]()
    for example in _without_duplicates(examples):
        split = split_of(example.file)
        counts[split, example.library] += 1
        if counts[split, example.library] <= SIZES[split]:
            splits[split].append(example)
    return {name: sorted(rows, key=lambda row: hash_of(row.text)) for name, rows in splits.items()}


def _files_by_word(examples: list[Example]) -> Counter[str]:
    """Return in how many files each word stands in plain prose."""
    pairs = {
        (word, example.file)
        for example in examples
        for word in docstring_text.words(docstring_text.mask(example.text, ()))
    }
    return Counter(word for word, _ in pairs)


def _is_jargon(name: str, files: int, english: set[str]) -> bool:
    """Return whether a name that only one library's prose has is no English word.

    It is rare there too, or short ("fx", "dpi"), or made of two words ("groupby", "colorbar").
    """
    return (
        files < FILES_OF_A_WORD
        or len(name) <= 3
        or any(name[:cut] in english and name[cut:] in english for cut in range(2, len(name) - 1))
    )


def _read(library: str) -> tuple[list[Example], set[str]]:
    """Unmasked prose of as many files as it takes, and the names (small letters) they define."""
    texts: list[Example] = []
    names: set[str] = set()
    counts = Counter[str]()
    for relative, file in sources(library):
        split = split_of(relative)
        if counts[split] >= SURPLUS * SIZES[split]:
            continue
        here = []
        for docstring in _docstrings(file, names):
            text = docstring_text.first_prose(docstring)
            if text is not None and len(docstring_text.words(text)) >= docstring_text.FEWEST_WORDS:
                here.append(Example(text, library, relative))
        here = sorted(here, key=lambda example: hash_of(example.text))[:MOST_OF_A_FILE]
        texts.extend(here)
        counts[split] += len(here)
    return texts, names


def sources(library: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a library that are its own and no tests, each with its path below the
    library's parent folder; by hash, not by the alphabet: a library that has more than enough is
    not cut off at "m"."""
    root = _folder(library)
    files = {file.relative_to(root.parent).as_posix(): file for file in root.rglob("*.py")}
    for relative in sorted(files, key=hash_of):
        if FOREIGN.isdisjoint(relative.split("/")):
            yield relative, files[relative]


def few_of(file: Path) -> list[str]:
    """Return docstrings of a source file, `MOST_OF_A_FILE` at most, ordered by hash."""
    return sorted(_docstrings(file, set()), key=hash_of)[:MOST_OF_A_FILE]


def _docstrings(file: Path, names: set[str]) -> Iterator[str]:
    """The docstrings of a source file in the order they stand in; adds what it defines to `names`.

    Functions within functions are left out: they have few docstrings, and looking is slow.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of their strings' escapes
            tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # for a newer Python, or no Python at all
        return
    names.update(file.stem.lower().split("_"))
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name.lower())
            names.update(argument.arg.lower() for argument in node.args.args)
            names.update(argument.arg.lower() for argument in node.args.kwonlyargs)
        elif isinstance(node, ast.ClassDef):
            names.add(node.name.lower())
            waiting.extend(reversed(node.body))
        elif isinstance(node, ast.Module | ast.If | ast.Try):
            waiting.extend(reversed(node.body))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            docstring = ast.get_docstring(node)
            if docstring:
                yield docstring


def _without_duplicates(examples: list[Example]) -> list[Example]:
    """Return one example of each text, and none of a text that several libraries have."""
    first: dict[str, Example] = {}
    shared = set()
    for example in examples:
        key = " ".join(docstring_text.words(example.text))
        if first.setdefault(key, example).library != example.library:
            shared.add(key)
    return [example for key, example in first.items() if key not in shared]


def split_of(file: str) -> str:
    """Return the split of a source file ("sklearn/svm/_base.py"): near-duplicates within one file
    never straddle two splits."""
    place = int(hash_of("split:" + file)[:8], 16) / 16**8
    total = sum(SIZES.values())
    end = 0.0
    for name, size in SIZES.items():
        end += size / total
        if place < end:
            return name
    return name


def _folder(library: str) -> Path:
    spec = importlib.util.find_spec(LIBRARIES[library])
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the embedded text needs {library}, which is not installed")
    return Path(spec.submodule_search_locations[0])


def key_of(recipe: str) -> str:
    """Return the cache key of a recipe and the libraries' versions.

    Raises `UserError` where one of the libraries is not installed.
    """
    try:
        versions = [f"{name}=={importlib.metadata.version(name)}" for name in LIBRARIES]
    except importlib.metadata.PackageNotFoundError as problem:
        raise UserError(f"the embedded text needs {problem.name}, which is not installed") from None
    return hash_of(f"{recipe} " + " ".join(versions))[:32]


def hash_of(text: str) -> str:
    """Return the sha256 (hex) of a text, by which examples are ordered."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
