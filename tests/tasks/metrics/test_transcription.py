"""The metrics of transcripts: jiwer's rates, one process or many, and the commonest confusions."""

import math

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import metrics
from tasks.errors import UserError
from tasks.metrics import transcription
from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.transcription import TranscriptionMetric
from tests.cli import run_program

words = st.lists(st.sampled_from(["a", "b", "cat", "née", "漢字", "\ud800"]), max_size=6)
texts = words.map(" ".join)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=12)  # heard, said


def tally_of(pairs) -> TranscriptionMetric:
    accumulator = TranscriptionMetric()
    heard, said = zip(*pairs, strict=True) if pairs else ((), ())
    accumulator.update(np.arange(len(pairs)), heard, said)
    return accumulator


def values(accumulator) -> dict[str, float]:
    return {one.name: one.value for one in accumulator.compute()}


def bits(accumulator):
    """Everything an accumulator says, as bytes: nan equals nan."""
    out = [array.tobytes() for array in accumulator.state().values()]
    for one in accumulator.compute():
        out.append(np.array([one.value, one.low, one.high]).tobytes())
        out.append((one.name, one.n, one.method))
        parts = accumulator.sample_statistics(one.name)
        out += [parts.ids.tobytes(), parts.rows.tobytes()]
    return [*out, accumulator.top_confusions(1000)]


# ---- the values ----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(pairs=pairs)
def test_rates_are_jiwers(pairs) -> None:
    heard, said = map(list, zip(*pairs, strict=True))
    found = values(tally_of(pairs))
    if any(said):
        assert found["wer"] == pytest.approx(jiwer.wer(said, heard))
        assert found["cer"] == pytest.approx(jiwer.cer(said, heard))
    else:
        assert math.isnan(found["wer"]) and math.isnan(found["cer"])
    assert found["exact_match"] == pytest.approx(np.mean([h == s for h, s in pairs]))


def test_errors_of_each_kind_are_counted() -> None:
    found = tally_of(
        [("the cat sat", "the cat sat down"), ("a big dog", "a dog"), ("my house", "my mouse")]
    )
    assert values(found) == pytest.approx(
        {"wer": 3 / 8, "cer": (5 + 4 + 1) / (16 + 5 + 8), "exact_match": 0}
    )
    parts = found.sample_statistics("wer")
    assert parts.ids.tolist() == [0, 1, 2]
    weights = np.array([[1, 1, 1], [2, 0, 1]])
    assert parts.score(parts.rows, weights) == pytest.approx([3 / 8, (2 + 1) / (8 + 2)])
    assert found.top_confusions() == [("-", "big", 1), ("down", "-", 1), ("mouse", "house", 1)]


def test_white_space_is_no_error_and_case_is() -> None:
    assert values(tally_of([("  the\tcat \n", "the   cat")])) == {
        "wer": 0,
        "cer": 0,
        "exact_match": 1,
    }
    assert values(tally_of([("The cat", "the cat")]))["wer"] == 0.5


def test_words_made_up_out_of_silence_are_errors_over_the_words_of_others() -> None:
    assert values(tally_of([("uh", ""), ("a b", "a b")]))["wer"] == 0.5
    alone = tally_of([("uh", ""), ("", "")])
    rates = {one.name: one for one in alone.compute()}
    assert math.isnan(rates["wer"].value) and rates["wer"].method == "undefined"
    assert rates["exact_match"].value == 0.5 and rates["exact_match"].method == "wilson"
    parts = alone.sample_statistics("wer")
    assert np.isnan(parts.score(parts.rows, np.ones((1, 2), np.int64))).all()
    assert alone.top_confusions() == [("-", "uh", 1)]


def test_no_samples_are_nan_and_no_error() -> None:
    accumulator = TranscriptionMetric()
    assert len(accumulator) == 0 and accumulator.top_confusions() == []
    assert [(one.n, one.method) for one in accumulator.compute()] == [(0, "undefined")] * 3
    assert all(math.isnan(value) for value in values(accumulator).values())
    assert bits(TranscriptionMetric().merge([accumulator.state()])) == bits(accumulator)


def test_confusions_are_sorted_by_how_often_then_by_name() -> None:
    accumulator = tally_of([("b x", "a x"), ("b", "a"), ("d", "c"), ("x", "x a"), ("x z", "x")])
    assert accumulator.top_confusions() == [
        ("a", "b", 2),
        ("-", "z", 1),
        ("a", "-", 1),
        ("c", "d", 1),
    ]
    assert accumulator.top_confusions(1) == [("a", "b", 2)]
    with pytest.raises(ValueError, match="top_confusions"):
        accumulator.confusion_matrix()


# ---- the intervals -------------------------------------------------------------------------------


def test_the_interval_covers_the_rate_of_the_source_as_often_as_it_says() -> None:
    """Utterances of unlike lengths and difficulty: errors come in bunches."""
    rng, inside, rounds = np.random.default_rng(0), 0, 120
    length, chance = np.array([1, 4, 12]), np.array([0.02, 0.1, 0.3])
    true = (length * chance).sum() / length.sum()
    for _ in range(rounds):
        kind = rng.integers(0, 3, 150)
        counted = np.column_stack([rng.binomial(length[kind], chance[kind]), length[kind]])
        found = transcription._rate("wer", counted[:, 0], counted[:, 1], 0.9)
        inside += found.low <= true <= found.high
    assert 0.82 <= inside / rounds <= 0.97


def test_intervals_hold_their_value_and_narrow_with_n() -> None:
    rng = np.random.default_rng(1)
    rows = [("a b c d" if rng.random() < 0.7 else "a x", "a b c d") for _ in range(400)]
    few, many = tally_of(rows[:40]).compute(), tally_of(rows).compute()
    for small, large in zip(few, many, strict=True):
        for one in (small, large):
            assert 0 <= one.low < one.value < one.high and one.level == 0.95
        assert large.high - large.low < small.high - small.low
    assert [one.method for one in many] == ["bootstrap", "bootstrap", "wilson"]
    perfect = tally_of([("a", "a")] * 5).compute()
    assert [one.method for one in perfect] == ["undefined", "undefined", "wilson"]


# ---- one process and many ------------------------------------------------------------------------


@settings(max_examples=40)
@given(pairs=pairs, seed=st.integers(0, 2**32 - 1), ranks=st.integers(1, 4))
def test_many_processes_are_one_bit_for_bit(pairs, seed: int, ranks: int) -> None:
    rng, n = np.random.default_rng(seed), len(pairs)
    states = []
    for rank in range(ranks):
        accumulator = TranscriptionMetric()
        # each rank's share, padded with samples that other ranks have as well
        mine = np.concatenate([np.arange(rank, n, ranks), rng.integers(0, n, 3)])
        rng.shuffle(mine)
        for part in np.array_split(mine, 2):
            accumulator.update(part, [pairs[i][0] for i in part], [pairs[i][1] for i in part])
            if rng.random() < 0.3:
                accumulator.compute()  # looking in between changes nothing
        states.append(accumulator.state())
    rng.shuffle(states)
    merged = TranscriptionMetric().merge(states)
    assert len(merged) == n and bits(merged) == bits(tally_of(pairs))


def test_repeats_that_were_heard_otherwise_do_not_depend_on_order() -> None:
    states = [tally_of([(heard, "a b")]).state() for heard in ("a b", "a c")]
    forth, back = TranscriptionMetric().merge(states), TranscriptionMetric().merge(states[::-1])
    assert len(forth) == 1 and bits(forth) == bits(back)


def test_one_id_with_two_references_is_refused() -> None:
    accumulator = tally_of([("a", "a"), ("b", "b")])
    accumulator.update(np.array([1]), ["b"], ["other"])
    with pytest.raises(UserError, match="sample 1 came with two different references"):
        accumulator.compute()


def test_states_of_another_format_and_none_do_not_merge() -> None:
    state = TranscriptionMetric().state()
    for states in (
        [],
        [state, state | {"header": np.array([9])}],
        [ClassificationMetric("regression").state()],
    ):
        with pytest.raises(ValueError, match="cannot merge"):
            TranscriptionMetric().merge(states)


def test_a_state_is_arrays_that_safetensors_keeps() -> None:
    from safetensors.numpy import load, save

    accumulator = tally_of([("née 漢字", "nee 漢字"), ("", "x"), ("\ud800", "")])
    assert bits(TranscriptionMetric().merge([load(save(accumulator.state()))])) == bits(accumulator)


def test_update_checks_and_copies() -> None:
    accumulator, ids, heard = TranscriptionMetric(), np.arange(2), ["a", "b"]
    accumulator.update(ids, heard, ["a", "b"])
    ids[:], heard[:] = 7, ["x", "x"]
    assert values(accumulator)["wer"] == 0 and len(accumulator) == 2
    with pytest.raises(ValueError, match="2 ids, 1 hypotheses"):
        accumulator.update(np.arange(2), ["a"], ["a", "b"])
    with pytest.raises(ValueError, match="integers"):
        accumulator.update(np.array([0.5]), ["a"], ["b"])


# ---- the modules ---------------------------------------------------------------------------------


def test_the_modules_give_the_tallys_numbers() -> None:
    rows = [("the cat sat", "the cat sat down"), ("uh", ""), ("a dog", "a dog")]
    heard, said = map(list, zip(*rows, strict=True))
    expected = values(tally_of(rows))
    for name in ("wer", "cer"):
        found = metrics.load(name).compute(predictions=heard, references=said)
        assert found == {name: expected[name]}
        assert not metrics.metric_spec(name).greater_is_better and name in metrics.NAMES
    for name in ("exact_match", "top5_accuracy"):
        assert metrics.metric_spec(name).greater_is_better
    assert not metrics.metric_spec("perplexity").greater_is_better


def test_the_package_is_light_without_jiwer() -> None:
    heavy = "{'torch', 'evaluate', 'jiwer', 'scipy', 'sklearn'} & set(sys.modules)"
    program = f"import sys, tasks.metrics; sys.exit(str({heavy}) if {heavy} else 0)"
    run_program(program)


# ---- one answer to everything --------------------------------------------------------------------


def test_an_empty_text_is_the_constant_answer() -> None:
    accumulator = tally_of([("a cat", "a cat"), ("b", ""), ("cat", "a")])
    before = bits(accumulator)
    constant = accumulator.constant()
    assert constant is not None and constant.answer == ""
    assert constant.values == {"wer": 1.0, "cer": 1.0, "exact_match": 1 / 3}
    assert bits(accumulator) == before
    assert TranscriptionMetric().constant() is None


@pytest.mark.parametrize(
    ("rows", "answer"),
    [
        ([("", "a"), (" ", "b")], ""),
        ([("you", "a"), ("you ", "b")], "you"),
        ([("a", "a"), ("b", "b")], None),
        ([("", "a"), ("", "a")], None),
        ([], None),
    ],
)
def test_the_only_text(rows, answer) -> None:
    assert tally_of(rows).only_answer() == answer
