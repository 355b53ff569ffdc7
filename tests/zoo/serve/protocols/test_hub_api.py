"""Conversions of the Hub's inference API, without a service."""

import json
from typing import Any

import pytest

from tasks.errors import UserError
from tests.zoo.serve.protocols import described
from zoo.serve.errors import TooManyInputs
from zoo.serve.protocols import bodies, hub_api
from zoo.serve.protocols.bodies import Body
from zoo.serve.protocols.hub_api import HubRequest

MOST = 3
"""Inputs of a request."""


def _parse(model: Any, inputs: Any, **parameters: Any) -> HubRequest:
    content = {"inputs": inputs, "parameters": parameters}
    return hub_api.parse(Body(json.dumps(content).encode(), "application/json"), model, MOST)


def test_a_text_is_asked_for_all_its_labels() -> None:
    asked = _parse(described.texts(), "fine")
    assert asked == HubRequest(["fine"], {"top_k": 3}, "text-classification")
    [found] = hub_api.answered(asked, described.predictions("moving"))
    assert found[0] == {"label": "moving", "score": 0.8} and len(found) == 3


def test_a_list_is_answered_by_a_list() -> None:
    asked = _parse(described.texts(), ["a", "b"], top_k=2)
    assert asked.is_batch and asked.parameters == {"top_k": 2}
    found = hub_api.answered(asked, described.predictions("dull", "fine"))
    assert [one[0]["label"] for one in found] == ["dull", "fine"]
    assert hub_api.answered(_parse(described.texts(), []), []) == []
    with pytest.raises(TooManyInputs, match="4 inputs in one request: at most 3"):
        _parse(described.texts(), ["a"] * 4)


def test_a_pair_is_an_object() -> None:
    asked = _parse(described.pairs(), {"text": "a", "text_pair": "b"})
    assert asked.inputs == [("a", "b")] and not asked.is_batch
    asked = _parse(described.pairs(), [["a", "b"], {"text": "c", "text_pair": "d"}])
    assert asked.inputs == [("a", "b"), ("c", "d")] and asked.is_batch


def test_a_file_comes_as_it_is() -> None:
    asked = hub_api.parse(Body(b"\x89PNG", "image/png"), described.images(), MOST)
    assert asked == HubRequest([b"\x89PNG"], {"top_k": 3}, "image-classification")
    assert hub_api.answered(asked, described.predictions("fine"))[0]["label"] == "fine"


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ({"label": "LABEL_0", "score": 2.5}, [{"label": "LABEL_0", "score": 2.5}]),
        ({"label": [], "score": []}, []),
        (
            {"label": ["a"], "score": [0.9], "scores": {"a": 0.9, "b": 0.2}},
            [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.2}],
        ),
    ],
)
def test_numbers_and_several_labels(prediction: Any, expected: Any) -> None:
    asked = _parse(described.texts("regression"), "fine")
    assert hub_api.answered(asked, [prediction]) == [expected]


def test_things_have_boxes_of_whole_pixels() -> None:
    asked = hub_api.parse(Body(b"\x89PNG", "image/png"), described.things(), MOST)
    assert asked == HubRequest([b"\x89PNG"], {}, "object-detection")
    found = {"labels": ["fine"], "scores": [0.75], "boxes": [[1.2, 0.0, 9.9, 8.0]]}
    box = {"xmin": 1, "ymin": 0, "xmax": 9, "ymax": 8}
    assert hub_api.answered(asked, [found]) == [{"label": "fine", "score": 0.75, "box": box}]
    assert _parse(described.things(), "aGVsbG8=", threshold=0).parameters == {"threshold": 0.0}
    for wrong in (1.5, "0.5", True):
        with pytest.raises(UserError, match=r"`threshold` is .*: a number from 0 to 1"):
            _parse(described.things(), "aGVsbG8=", threshold=wrong)
    with pytest.raises(UserError, match="top_k"):
        _parse(described.things(), "aGVsbG8=", top_k=1)


def test_spans_but_for_those_to_ignore() -> None:
    spans = [
        {"label": name, "score": 0.5, "start": i, "end": i + 1, "text": "ab"[i]}
        for i, name in enumerate(("PER", "LOC"))
    ]
    asked = HubRequest(["ab"], {}, "token-classification", ignored=("PER",))
    expected = {"entity_group": "LOC", "score": 0.5, "word": "b", "start": 1, "end": 2}
    assert hub_api.answered(asked, [{"spans": spans}]) == [expected]


PIECES = [("B-PER", "Ada"), ("I-PER", "##m"), ("O", "of"), ("I-LOC", "Ro"), ("B-LOC", "##me")]


def _pieces(text: str) -> dict[str, Any]:
    """Pieces of a text as a worker tells of them."""
    found, start = [], 0
    for label, token in PIECES:
        start = text.index(token.removeprefix("##"), start)
        end = start + len(token.removeprefix("##"))
        found.append({"label": label, "start": start, "end": end, "text": text[start:end]})
    return {"pieces": [{**one, "score": (i + 1) / 8} for i, one in enumerate(found)]}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"aggregation_strategy": "none"},
         [("B-PER", 1 / 8, "Ada"), ("I-PER", 2 / 8, "m"), ("I-LOC", 4 / 8, "Ro"),
          ("B-LOC", 5 / 8, "me")]),
        ({"aggregation_strategy": "none", "ignore_labels": ["B-LOC"]},
         [("B-PER", 1 / 8, "Ada"), ("I-PER", 2 / 8, "m"), ("O", 3 / 8, "of"),
          ("I-LOC", 4 / 8, "Ro")]),
        ({"aggregation_strategy": "simple"},
         [("PER", 1.5 / 8, "Adam"), ("LOC", 4 / 8, "Ro"), ("LOC", 5 / 8, "me")]),
    ],
)  # fmt: skip
def test_pieces_are_put_together_as_transformers_does(parameters: Any, expected: Any) -> None:
    text = "Adam of Rome"
    asked = _parse(described.tags(), text, **parameters)
    assert asked.parameters == {"pieces": True}
    found = hub_api.answered(asked, [_pieces(text)])
    name = "entity" if parameters["aggregation_strategy"] == "none" else "entity_group"
    assert [(one[name], one["score"], one["word"]) for one in found] == expected
    assert all(text[one["start"] : one["end"]] == one["word"] for one in found)


def test_spans_of_whole_words_are_meant_where_nothing_is_said() -> None:
    for parameters in ({}, {"aggregation_strategy": "first"}):
        asked = _parse(described.tags(), "Adam", **parameters)
        assert (asked.parameters, asked.aggregation) == ({}, "first")


def test_each_mask_is_filled_in_its_own_place() -> None:
    def guess(token: str) -> dict[str, Any]:
        return {"score": 0.5, "token": 7, "token_str": token}

    asked = HubRequest(["a [M] and [M]"], {}, "fill-mask")
    guesses = [[guess("cat"), guess(" dog")], [guess("##s")]]
    first, second = hub_api.answered(asked, [{"guesses": guesses}], "[M]")
    assert [one["sequence"] for one in first] == ["a cat and [M]", "a dog and [M]"]
    assert [one["sequence"] for one in second] == ["a [M] ands"]
    alone = HubRequest(["a [M]"], {}, "fill-mask")
    assert hub_api.answered(alone, [{"guesses": [[guess("cat")]]}], "[M]")[0]["token"] == 7


def test_words_with_times_are_chunks() -> None:
    for times in (True, "word"):
        asked = _parse(described.speech(), "aGVsbG8=", return_timestamps=times)
        assert asked.parameters == {"words": True} and asked.inputs == [b"hello"]
    words = [{"word": "yes", "start": 0.5, "end": 0.75}]
    found = hub_api.answered(asked, [{"text": "yes", "words": words}])
    assert found == {"text": "yes", "chunks": [{"text": "yes", "timestamp": [0.5, 0.75]}]}


def test_a_text_out_of_another_has_the_name_that_each_client_reads() -> None:
    asked = _parse(described.translations(), "a tool")
    said = {"text": "un outil", "finish_reason": "stop"}
    [found] = hub_api.answered(asked, [said])
    assert set(found.values()) == {"un outil"}
    assert {"generated_text", "translation_text", "summary_text"} == found.keys()
    with pytest.raises(UserError, match="src_lang"):
        _parse(described.translations(), "a tool", src_lang="en")


def test_weights_label_embed_and_compare() -> None:
    model = described.weights()
    asked = _parse(model, "a", candidate_labels=["x", "y"], multi_label=False)
    assert asked.parameters == {"labels": ["x", "y"], "top_k": 2}
    asked = hub_api.parse(
        Body(b'{"inputs": ["a", "b"], "normalize": true}', "application/json"), model, MOST
    )
    assert asked == HubRequest(["a", "b"], {"embed": True}, "feature-extraction", True)
    vectors = [{"embedding": [1.0, 0.0]}, {"embedding": [0.6, 0.8]}, {"embedding": [0.0, 1.0]}]
    assert hub_api.answered(asked, vectors[:2]) == [[1.0, 0.0], [0.6, 0.8]]
    asked = _parse(model, {"source_sentence": "a", "sentences": ["b", "c"]})
    assert asked.inputs == ["a", "b", "c"]
    assert hub_api.answered(asked, vectors) == pytest.approx([0.6, 0.0])


@pytest.mark.parametrize(
    ("model", "inputs", "parameters", "field"),
    [
        (described.texts(), "a", {"top_k": 0}, "top_k"),
        (described.texts(), "a", {"topk": 2}, "topk"),
        (described.texts(), "a", {"function_to_apply": "sigmoid"}, "function_to_apply"),
        (described.texts(), "a", {"candidate_labels": ["a", "b"]}, "candidate_labels"),
        (described.texts(), {"source_sentence": "a", "sentences": []}, {}, "inputs"),
        (described.images(), "a moving film", {}, "inputs"),
        (described.images(), "https://example.org/a.png", {}, "inputs"),
        (described.speech(), "aGVsbG8=", {"generation_parameters": {"top_k": 3}},
         "generation_parameters"),
        (described.speech(), "aGVsbG8=", {"return_timestamps": "char"}, "return_timestamps"),
        (described.tags(), "a", {"aggregation_strategy": "average"}, "aggregation_strategy"),
        (described.tags(), "a", {"aggregation_strategy": ["first"]}, "aggregation_strategy"),
        (described.tags(), "a", {"stride": 8}, "stride"),
        (described.weights(), "a", {"candidate_labels": ["a"]}, "candidate_labels"),
        (described.weights(), "a", {"candidate_labels": ["a", " a"]}, "candidate_labels"),
        (described.weights(), "a", {"candidate_labels": ["a", 3]}, "candidate_labels"),
        (described.weights(), "a", {"candidate_labels": [str(i) for i in range(257)]},
         "candidate_labels"),
        (described.weights(), "a", {"candidate_labels": "@/etc/passwd"}, "candidate_labels"),
        (described.weights(), "a", {"candidate_labels": ["a", "b"], "multi_label": True},
         "multi_label"),
        (described.weights(), "a",
         {"candidate_labels": ["a", "b"], "hypothesis_template": "no place"},
         "hypothesis_template"),
        (described.weights(), "a", {"normalize": False}, "normalize"),
        (described.weights(), {"source_sentence": "a", "sentences": "b"}, {}, "sentences"),
    ],
)  # fmt: skip
def test_what_can_not_be_kept_is_refused(
    model: Any, inputs: Any, parameters: Any, field: str
) -> None:
    with pytest.raises(UserError) as caught:
        _parse(model, inputs, **parameters)
    assert caught.value.field == field, str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "`inputs` is missing"),
        (b'{"inputs": "a", "input": "b"}', "'input'"),
        (b'{"inputs": "a", "parameters": 3}', "not an object"),
    ],
)
def test_the_body_is_looked_at(body: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        hub_api.parse(Body(body, "application/json"), described.texts(), MOST)
    with pytest.raises(UserError, match="the body is a form"):
        hub_api.parse(Body(b"inputs=a+film", bodies.MISTYPED), described.texts(), MOST)
    with pytest.raises(UserError, match="labels are missing"):
        hub_api.parse(Body(b"a text", "text/plain"), described.weights(), MOST)


def test_pixels_are_answered_by_masks_and_others_can_not_be_asked_for() -> None:
    asked = hub_api.parse(Body(b"\x89PNG", "image/png"), described.pixels(), MOST)
    assert asked == HubRequest([b"\x89PNG"], {"masks": True}, "image-segmentation")
    found = {"labels": ["fine", "dull"], "shares": [0.75, 0.25], "masks": ["eA==", "eQ=="]}
    assert hub_api.answered(asked, [found]) == [
        {"score": None, "label": "fine", "mask": "eA=="},
        {"score": None, "label": "dull", "mask": "eQ=="},
    ]
    for name, value in {"subtask": "panoptic", "threshold": 0.5, "top_k": 2}.items():
        with pytest.raises(UserError, match=name):
            _parse(described.pixels(), "eA==", **{name: value})
    assert _parse(described.pixels(), "eA==", subtask="semantic").parameters == {"masks": True}
