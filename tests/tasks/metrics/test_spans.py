"""Spans of tags, and their F1: as seqeval and conlleval have them."""

import random
from collections import defaultdict
from itertools import chain

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.metrics.intervals import paired_bootstrap
from tasks.metrics.spans import SpanMetric, TagScheme

# the examples in seqeval's README, docstrings and tests: tags, and what get_entities finds in them
PUBLISHED = [
    (
        ["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O", "B-PER", "I-PER"],
        [("MISC", 3, 5), ("PER", 7, 8)],
    ),
    (["B-PER", "I-PER", "O", "B-LOC"], [("PER", 0, 1), ("LOC", 3, 3)]),
    (["B-NP", "I-NP", "O"], [("NP", 0, 1)]),
    (["I-NP", "I-NP", "O"], [("NP", 0, 1)]),
]
TYPES = ["PER", "MISC", "ORG", "LOC"]


def _entities(scheme: TagScheme, tags: list[str]) -> list[tuple[str, int, int]]:
    """As seqeval gives them: type, first word, last word."""
    found = scheme.spans(np.array([scheme.names.index(tag) for tag in tags]), np.array([len(tags)]))
    columns = (found.type.tolist(), found.start.tolist(), (found.end - 1).tolist())
    return [(scheme.types[kind], start, end) for kind, start, end in zip(*columns, strict=True)]


@pytest.mark.parametrize(("tags", "expected"), PUBLISHED)
def test_spans_of_published_examples(tags: list[str], expected: list[tuple[str, int, int]]) -> None:
    assert _entities(TagScheme(sorted(set(tags))), tags) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("S-A B-A I-A E-A E-A", [("A", 0, 0), ("A", 1, 3), ("A", 4, 4)]),  # BIOES
        ("I-A B-A I-A O I-A I-B", [("A", 0, 0), ("A", 1, 2), ("A", 4, 4), ("B", 5, 5)]),  # IOB1
        ("U-A B-A L-A", [("A", 0, 0), ("A", 1, 2)]),  # BILOU
        ("B I O I", [("_", 0, 1), ("_", 3, 3)]),
        ("B-A-B I-A-B", [("A-B", 0, 1)]),
    ],
)
def test_spans_of_every_scheme(tags: str, expected: list[tuple[str, int, int]]) -> None:
    words = tags.split()
    assert _entities(TagScheme(sorted({*words, "O"})), words) == expected


def test_tags_without_parts_are_spans_of_a_word() -> None:
    scheme = TagScheme(["O", "COMMA", "SCONJ"])
    assert not scheme.is_chunked and scheme.types == ("COMMA", "SCONJ")
    found = _entities(scheme, ["COMMA", "COMMA", "O", "SCONJ"])
    assert found == [("COMMA", 0, 0), ("COMMA", 1, 1), ("SCONJ", 3, 3)]


def test_order_of_tags() -> None:
    scheme = TagScheme(["I-PER", "B-LOC", "S-LOC", "O", "B-PER", "I-LOC"])
    assert scheme.order() == ["O", "B-LOC", "I-LOC", "S-LOC", "B-PER", "I-PER"]
    assert TagScheme(["VERB", "O", "ADJ"]).order() == ["O", "ADJ", "VERB"]


def test_spans_that_begin_inside_are_counted() -> None:
    scheme = TagScheme(["O", "B-A", "I-A"])
    assert scheme.without_begin(np.array([2, 2, 0, 2, 1, 2, 2]), np.array([4, 2, 1])) == 3


def _conlleval(true: list[list[str]], found: list[list[str]]) -> dict[str, tuple[int, int, int]]:
    """Spans right, predicted and true of each type, by the rules of conlleval.pl, word by word."""

    def parts(tag: str) -> tuple[str, str]:
        return ("O", "") if tag == "O" else (tag[0], tag[2:])

    def begins(before: tuple[str, str], tag: tuple[str, str]) -> bool:
        pairs = {"BB", "IB", "OB", "OI", "EE", "EI", "OE", "EB", "SS", "SB", "OS"}
        pairs |= {"SE", "SI", "BS", "IS", "ES"}
        return before[0] + tag[0] in pairs or (tag[0] != "O" and before[1] != tag[1])

    def ends(before: tuple[str, str], tag: tuple[str, str]) -> bool:
        pairs = {"BB", "BO", "IB", "IO", "EE", "EI", "EO", "EB", "ES", "BS", "IS"}
        pairs |= {"SS", "SB", "SI", "SE", "SO"}
        return before[0] + tag[0] in pairs or (before[0] != "O" and before[1] != tag[1])

    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for ours, theirs in zip(true, found, strict=True):
        spans: list[set[tuple[str, int, int]]] = []
        for tags in (theirs, ours):
            here, start, before = set(), 0, ("O", "")
            for place, tag in enumerate([*map(parts, tags), ("O", "")]):
                if ends(before, tag):
                    here.add((before[1], start, place))
                if begins(before, tag):
                    start = place
                before = tag
            spans.append(here)
        for column, group in enumerate((spans[0] & spans[1], *spans)):
            for kind, _, _ in group:
                counts[kind][column] += 1
    return {kind: tuple(row) for kind, row in counts.items()}  # type: ignore[misc]


@pytest.mark.parametrize("prefixes", ["BIO", "IO", "BIOES", "EIO"])
def test_equal_to_conlleval_on_random_tags(prefixes: str) -> None:
    """To the last digit, tags that do not fit together among them; as seqeval tests itself."""
    rng = random.Random(prefixes)
    names = ["O", *(f"{p}-{t}" for p in prefixes if p != "O" for t in TYPES)]
    true, found = ([[rng.choice(names) for _ in range(n)] for n in range(60)] for _ in range(2))
    for row, words in zip(true, found, strict=True):  # so that many are right
        words[: len(row) // 2] = row[: len(row) // 2]
    metric = _counted(names, true, found)
    expected = _conlleval(true, found)
    counts = metric.by_class()
    rows = zip(metric.scheme.types, *(column.tolist() for column in counts[:3]), strict=True)
    assert {kind: tuple(row) for kind, *row in rows} == expected
    hits, predicted, actual = (sum(row[i] for row in expected.values()) for i in range(3))
    assert hits > 20
    p, r = hits / predicted, hits / actual
    values = {one.name: one.value for one in metric.compute(draws=0)}
    same = [a == b for a, b in zip(chain(*true), chain(*found), strict=True)]
    accuracy = sum(same) / len(same)
    assert values == {
        "f1": 2 * p * r / (p + r), "precision": p, "recall": r, "token_accuracy": accuracy
    }  # fmt: skip


def _counted(names: list[str], true: list[list[str]], found: list[list[str]]) -> SpanMetric:
    metric = SpanMetric(names)

    def codes(rows: list[list[str]]) -> list[np.ndarray]:
        return [np.array([names.index(tag) for tag in row], int) for row in rows]

    metric.update(np.arange(len(true)), codes(found), codes(true))
    return metric


def test_the_published_scores() -> None:
    """seqeval's README: F1 0.50, accuracy 0.80; MISC 0, PER 1."""
    true = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    found = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    metric = _counted(["O", "B-MISC", "I-MISC", "B-PER", "I-PER"], true, found)
    values = {one.name: one.value for one in metric.compute(draws=0)}
    assert values == {"f1": 0.5, "precision": 0.5, "recall": 0.5, "token_accuracy": 0.8}
    counts = metric.by_class()
    assert [counts.hits.tolist(), counts.predicted.tolist(), counts.actual.tolist()] == [
        [0, 1], [1, 1], [1, 1]
    ]  # fmt: skip
    assert metric.confusion_matrix()[0].tolist() == [4, 1, 0, 0, 0]


@pytest.fixture(scope="module")
def rows() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Predictions and references of 80 sentences."""
    rng = np.random.default_rng(0)
    true = [rng.integers(0, 3, rng.integers(0, 9)) for _ in range(80)]
    wrong = [rng.random(len(row)) < 0.3 for row in true]
    found = [
        np.where(w, rng.integers(0, 3, len(w)), row) for w, row in zip(wrong, true, strict=True)
    ]
    return found, true


def test_processes_and_repeats_change_nothing(rows: tuple[list[np.ndarray], ...]) -> None:
    found, true = rows
    names, ids = ["O", "B-A", "I-A"], np.arange(80)
    whole = SpanMetric(names)
    whole.update(ids, found, true)
    parts = [SpanMetric(names), SpanMetric(names)]
    parts[0].update(ids[:50], found[:50], true[:50])
    for start in (70, 45):
        parts[1].update(ids[start:], found[start:], true[start:])
    merged = whole.merge([part.state() for part in reversed(parts)])
    assert len(merged) == 80 and merged.compute() == whole.compute()
    for measured in whole.compute():
        assert measured.low < measured.value < measured.high and measured.method == "bootstrap"
        assert measured.n == 80
    other = SpanMetric(names)
    other.update(ids[:1], [np.array([1])], [np.array([1])])
    with pytest.raises(UserError, match="two different references"):
        whole.merge([whole.state(), other.state()])


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "token_accuracy"])
def test_differences_are_paired(metric: str, rows: tuple[list[np.ndarray], ...]) -> None:
    found, true = rows
    names, ids = ["O", "B-A", "I-A"], np.arange(80)
    first, second = SpanMetric(names), SpanMetric(names)
    first.update(ids, true, true)
    second.update(ids, found, true)
    ours, theirs = first.sample_statistics(metric), second.sample_statistics(metric)
    value = next(one.value for one in second.compute(draws=0) if one.name == metric)
    assert theirs.score(theirs.rows, np.ones((1, 80), np.int64)).tolist() == [value]
    lost = paired_bootstrap(ours, theirs, lambda a, b: a - b)
    assert len(lost) == 1000 and lost.min() > 0 and abs(lost.mean() - (1 - value)) < 0.02
    assert not paired_bootstrap(ours, ours, lambda a, b: a - b).any()


def test_nothing_and_no_spans() -> None:
    empty = SpanMetric(["O", "B-A"])
    assert all(np.isnan(one.value) and one.n == 0 for one in empty.compute())
    empty.update(np.array([0]), [np.array([0, 0])], [np.array([0, 0])])
    assert {one.name: one.value for one in empty.compute()} == {
        "f1": 0.0, "precision": 0.0, "recall": 0.0, "token_accuracy": 1.0
    }  # fmt: skip
    with pytest.raises(ValueError, match="not of the same words"):
        empty.update(np.array([1]), [np.array([0])], [np.array([0, 0])])


def test_the_best_constant_answer_is_the_commonest_tag() -> None:
    true = [["O", "O", "B-A"], ["B-A", "I-A", "O", "O"]]
    names = ["B-A", "I-A", "O"]
    metric = _counted(names, true, true)
    whole = metric.compute(draws=0)
    constant = metric.constant()
    assert constant is not None and names[int(constant.answer)] == "O"  # type: ignore[arg-type]
    nothing = _counted(names, true, [["O"] * len(row) for row in true])
    assert constant.values == {one.name: one.value for one in nothing.compute(draws=0)}
    assert constant.values["token_accuracy"] == 4 / 7 and constant.values["f1"] == 0
    assert metric.compute(draws=0) == whole, "what was counted stays"
    assert nothing.only_answer() == 2 and metric.only_answer() is None
    assert SpanMetric(names).constant() is None and SpanMetric(names).only_answer() is None


def test_each_type_has_its_scores_and_intervals(rows: tuple[list[np.ndarray], ...]) -> None:
    names = ["O", "B-A", "B-B", "B-C"]  # there is no C
    metric = SpanMetric(names)
    metric.update(np.arange(80), *rows)
    found = dict(zip(metric.scheme.types, metric.class_estimates(), strict=True))
    counts = metric.by_class()
    for i, kind in enumerate(("A", "B")):
        hits, predicted, actual = (int(column[i]) for column in counts[:3])
        expected = {
            "precision": hits / predicted,
            "recall": hits / actual,
            "f1": 2 * hits / (predicted + actual),
        }
        assert {name: one.value for name, one in found[kind].items()} == pytest.approx(expected)
        for one in found[kind].values():
            assert one.low < one.value < one.high and one.method == "bootstrap"
            assert one.n == actual
    assert found["C"] == {}
