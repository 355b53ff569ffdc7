"""Texts that match a regular expression or a JSON schema, whatever a model would rather write."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.nlp.constrained import Constraint, grammar_of, schema_of
from tasks.nlp.writing import Writing
from tests.zoo.generation.networks import decoder, inputs_of, network
from zoo.generation.decoding import Decoding
from zoo.generation.generate import generate, sequences
from zoo.generation.speculative import Acceptance, speculate

pytest.importorskip("llguidance")

TOKENS = ["<pad>", "<s>", "<e>", *"abcd", "<f>", *"efgh0123456789", *'{}":, x', "ab"]
"""The tiny networks pad with 0 and end with 2 and 7."""
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 10, "maximum": 99}, "b": {"enum": ["ab"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Forty byte-level tokens, the tiny networks' vocabulary."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    spare = [f"<{i}>" for i in range(40 - len(TOKENS))]
    vocabulary = {token.replace(" ", "Ġ"): i for i, token in enumerate([*TOKENS, *spare])}
    whole = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b")]))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = decoders.ByteLevel()
    special = {"pad_token": "<pad>", "eos_token": "<e>"}
    more = ["<s>", "<f>", *spare]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=whole, extra_special_tokens=more, **special
    )


def _texts(tokenizer: Any, ids: np.ndarray) -> list[str]:
    return [tokenizer.decode(row, skip_special_tokens=True) for row in ids.tolist()]


SETTINGS: list[dict[str, Any]] = [
    {},
    {"do_sample": True, "temperature": 2.0, "seed": 3},
    {"num_beams": 3},
    {"no_repeat_ngram_size": 1},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("regex", [r"(ab|c)+0?", r"[0-9]{3} x", "cab"])
def test_texts_match(tokenizer: Any, regex: str, settings: dict[str, Any]) -> None:
    """Wholly, or as far as there was room."""
    runner, grammar = decoder(network("gpt2")), grammar_of(regex, None)
    assert grammar is not None
    decoding = Decoding(max_new_tokens=12, constraint=Constraint(grammar, tokenizer), **settings)
    found = sequences(runner, inputs_of("gpt2"), decoding)
    texts = _texts(tokenizer, found)
    free = sequences(runner, inputs_of("gpt2"), Decoding(max_new_tokens=12, **settings))
    assert texts != _texts(tokenizer, free)
    for text, row in zip(texts, found, strict=True):
        is_whole = 0 in row or len(row) < 12
        if "no_repeat_ngram_size" not in settings:  # which may leave no token
            assert re.fullmatch(regex if is_whole else "(ab|c)+a?", text)


def test_json_matches_its_schema(tokenizer: Any, tmp_path: Path) -> None:
    """Given as text, as a mapping of Python, or in a file on the command line."""
    (tmp_path / "a b.json").write_text(json.dumps(SCHEMA))
    typed = [schema_of(given) for given in (json.dumps(SCHEMA), str(tmp_path / "a b.json"))]
    grammars = {
        grammar_of(None, Writing().changed({"json_schema": given}).json_schema)
        for given in (SCHEMA, *typed)
    }
    [grammar] = grammars
    assert grammar is not None
    decoding = Decoding(max_new_tokens=30, constraint=Constraint(grammar, tokenizer))
    for text in _texts(
        tokenizer, sequences(decoder(network("llama")), inputs_of("llama"), decoding)
    ):
        value = json.loads(text)
        assert value.keys() == {"a", "b"} and value["b"] == "ab" and 10 <= value["a"] <= 99
        assert json.dumps(value) == text, "no other blanks than Python's"


def test_a_draft_changes_no_text(tokenizer: Any) -> None:
    grammar = grammar_of(r"[a-h]{4,9}(0|1)", None)
    assert grammar is not None
    asked = Decoding(max_new_tokens=12, constraint=Constraint(grammar, tokenizer))
    model, inputs, acceptance = decoder(network("gpt2")), inputs_of("gpt2"), Acceptance()
    expected = list(generate(model, inputs, asked))
    draft = decoder(network("gpt2", seed=2))
    found = list(speculate(model, draft, inputs, asked, range(5), [12] * 5, acceptance))
    np.testing.assert_array_equal(found, expected)
    assert acceptance.guessed > acceptance.accepted > 0, "guesses were taken back"


@pytest.mark.parametrize(
    ("regex", "schema", "said"),
    [
        ("[0-", None, r"`regex` '\[0-' can't be matched: error: unclosed character class"),
        ("(?=a)b", None, "look-around, including look-ahead and look-behind, is not supported"),
        (None, "{", "`json_schema` { is no JSON: "),
        (None, "/etc/schema.json", "`json_schema` /etc/schema.json is no JSON"),
        (None, '{"type": "nonsense"}', "can't be matched: Invalid type: nonsense"),
        (None, '{"type": "array", "uniqueItems": true}', r"Unimplemented keys: \[.uniqueItems"),
        (None, '{"minimum": NaN}', r'`json_schema` {"minimum": NaN} is no JSON: NaN is no number'),
        (None, '{"const": "\\ud800"}', "is no JSON: it holds half a character"),
        (None, '{"const": "\ud800"}', "is not UTF-8 text"),
        (None, '{"not": ' * 200 + "{}" + "}" * 200, "is no JSON: it is nested deeper than 100"),
        (None, '{"not": ' * 99999 + "{}" + "}" * 99999, "is no JSON: it is nested too deeply"),
        (None, "[1]", r"`json_schema` \[1\] is no JSON object"),
        ("caf\udce9", None, "`regex` 'caf.udce9' is not UTF-8 text"),
        ("a", "{}", "give `regex` or `json_schema`, not both"),
    ],
)
def test_what_cannot_be_matched(regex: str | None, schema: str | None, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        grammar_of(regex, schema)
    assert "\n" not in str(caught.value)


def test_a_schema_that_is_not_there() -> None:
    with pytest.raises(UserError, match="`json_schema` nowhere"):
        schema_of("nowhere.json")


def test_what_is_too_complex(tokenizer: Any) -> None:
    grammar = grammar_of("a{100000}{1000}", None)
    assert grammar is not None
    with pytest.raises(UserError, match="can't be followed: lexer error: too many") as caught:
        matcher = Constraint(grammar, tokenizer).start()
        for count in range(3):
            matcher.allowed([3] * count)
    assert "\n" not in str(caught.value)
