"""What is answered as a language model learns it: a prompt and its completion, or a chat.

A sample is one row of tokens, of which some are learned: those of completions, or of the
assistant's turns, each with the token that ends it. What comes before is given, and not guessed. A
row that is longer than the model's context loses its end; one whose first learned token lies behind
that is left out, since nothing of it could be learned.
"""

import bisect
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.nlp import chat_template, chats
from tasks.nlp.chat_template import Answer, TurnEnd
from tasks.nlp.text_forms import Form, FormArgs
from tasks.nlp.tokenization import OriginFeatures, whole, whole_encodings
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets
    from tokenizers import Encoding

KEPT, UNANSWERED, CUT_OFF, MELTED = range(4)
"""What became of a row: it is a sample, or is left out for one of three reasons."""


@dataclass(frozen=True)
class _Row:
    """The tokens of a row, before they are cut."""

    ids: Sequence[int]
    learned: Sequence[int]
    """1 where the token is learned"""
    sizes: Sequence[int]
    """bytes of the text in UTF-8 that each token adds to what is learned"""
    fault: int = KEPT


class AnswerFeatures(OriginFeatures):
    """The rows of one split that have something to learn. Satisfies `tasks.base.Features`.

    `origins` is the row of the split, and a length counts the tokens that the model is given.
    """

    given = ("text", "text_pair", "chat", "row")
    made = ("input_ids", "learned", "bytes")

    def __init__(self, tokens: "datasets.Dataset", *others: Any) -> None:
        """Take the columns of `encode`, and length and windows; others as `TokenFeatures`."""
        import numpy as np

        columns = tokens.with_format("numpy", columns=["fault", "untruncated", "length"])
        faults = np.asarray(columns["fault"][:])
        kept = np.flatnonzero(faults == KEPT)
        self.faults = np.bincount(faults, minlength=MELTED + 1).tolist()
        lengths, untruncated = (np.asarray(columns[n][:]) for n in ("length", "untruncated"))
        self.shortened = int((untruncated > lengths)[kept].sum())
        super().__init__(tokens.select(kept), *others)
        self.origins = kept
        self.lengths = self.lengths - 1

    @staticmethod
    def encode(rows: Mapping[str, Any], tokenizer: Any, **encoding: Any) -> dict[str, list[Any]]:
        """Return the rows of a batch in columns: input_ids; learned, 1 for each token behind the
        first that is learned, else 0; bytes (of the learned text in UTF-8); fault (`KEPT` or why
        it is left out), and untruncated (its tokens).

        Args:
            encoding: `window`, the tokens that the model sees; `everything`, whether the prompts
                are learned, too; of chats `turn_end` (the fields of a `TurnEnd`), of prompts and
                completions `begin` and `end`, the tokens around them, and `between`, the text.
        """
        read = _chats if "turn_end" in encoding else _pairs
        window = encoding["window"] + 1
        names = ("input_ids", "learned", "bytes", "fault", "untruncated")
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for row in read(rows, tokenizer, encoding):
            ids, learned = row.ids[:window], row.learned[1:window]
            fault = row.fault
            if fault == KEPT and 1 not in learned:
                fault = CUT_OFF if 1 in row.learned else UNANSWERED
            size = sum(row.sizes[1:window])
            for name, value in zip(
                names, ([list(ids)], [list(learned)], size, fault, len(row.ids)), strict=True
            ):
                columns[name].append(value)
        return columns

    def tell(self, window: int) -> None:
        """Say on standard error what was cut and left out of the split, if anything was.

        Raises `UserError` where no row is left.
        """
        reasons = {
            UNANSWERED: "without an answer",
            CUT_OFF: f"whose answer begins behind the {window:,} tokens that the model sees",
            MELTED: "whose answer melts into one token with what the template writes before it",
        }
        out = [f"{self.faults[i]:,} {why}" for i, why in reasons.items() if self.faults[i]]
        total = f"of {sum(self.faults):,} rows"
        if not len(self):
            raise UserError(f"{total} nothing can be learned: there are {', '.join(out)}")
        said = [f"left out are {', '.join(out)}"] if out else []
        if self.shortened:
            said.append(f"{self.shortened:,} longer than {window:,} tokens lose their end")
        if said:
            print_lines(f"note: {total}, {'; '.join(said)}", file=sys.stderr)


def encoding_of(form: Form, tokenizer: Any, args: FormArgs) -> dict[str, Any]:
    """Return what decides, beside window, begin and end, how rows become tokens; see
    `AnswerFeatures.encode`."""
    if form == "completions":
        return {"everything": args.train_on_prompt, "between": args.separator}
    return {
        "everything": args.train_on_prompt,
        "turn_end": asdict(chat_template.turn_end(tokenizer)),
        # what the template is, and what it may write
        "template": tokenizer.chat_template,
        "special": {name: str(one) for name, one in tokenizer.special_tokens_map.items()},
    }


def _pairs(rows: Mapping[str, Any], tokenizer: Any, encoding: Mapping[str, Any]) -> Iterator[_Row]:
    """Yield the tokens of prompts, each with its completion, which is read as it will be written:
    by itself."""
    begin, end, everything = (encoding[name] for name in ("begin", "end", "everything"))
    prompts = [prompt + encoding["between"] for prompt in rows["text"]]
    both = prompts, rows["text_pair"]
    encoded = (whole_encodings(texts, tokenizer) for texts in both)
    for prompt, completion, given, answer in zip(*both, *encoded, strict=True):
        sizes = _sizes(prompt, given) if everything else [0] * len(given)
        yield _Row(
            [begin, *given.ids, *answer.ids, end],
            [0, *[int(everything)] * len(given), *[1] * len(answer), 1],
            [0, *sizes, *_sizes(completion, answer), 0],
        )


def _chats(rows: Mapping[str, Any], tokenizer: Any, encoding: Mapping[str, Any]) -> Iterator[_Row]:
    """Yield the tokens of chats as their template writes them, up to the last that is learned."""
    end, special = TurnEnd(**encoding["turn_end"]), chat_template.special_ids(tokenizer)
    everything = encoding["everything"]
    texts: list[str] = []
    found: list[list[Answer]] = []
    for chat, where in zip(rows["chat"], rows["row"], strict=True):
        messages = chats.of_text(chat)
        if everything:
            texts.append(chat_template.render(tokenizer, messages, where))
            found.append([])
            continue
        text, answers = chat_template.answers(tokenizer, messages, end, where)
        texts.append(text)
        found.append(answers)
    heads = iter(whole([one.head for answers in found for one in answers], tokenizer))
    for text, answers, encoded in zip(texts, found, whole_encodings(texts, tokenizer), strict=True):
        ids = encoded.ids
        sizes = _sizes(text, encoded, special)
        learned, fault = [int(everything)] * len(ids), KEPT
        for answer in answers:
            head = next(heads)
            fault = fault if ids[: len(head)] == head else MELTED
            stop = bisect.bisect_right(encoded.offsets, answer.stop, key=lambda place: place[1])
            learned[len(head) : stop] = [1] * (stop - len(head))
        last = max((i for i, is_learned in enumerate(learned) if is_learned), default=0) + 1
        sizes = [size * is_learned for size, is_learned in zip(sizes, learned, strict=True)]
        yield _Row(ids[:last], learned[:last], sizes[:last], fault)


def _sizes(text: str, encoded: "Encoding", special: Collection[int] = ()) -> list[int]:
    """Return how many bytes of a text in UTF-8 each of its tokens adds: 0 for a special one, and
    for one that goes on with a character which the token before has begun."""
    done, found = 0, []
    for token, (_, stop) in zip(encoded.ids, encoded.offsets, strict=True):
        piece = text[done : max(done, stop)]
        done = max(done, stop)
        found.append(0 if token in special else len(piece.encode("utf-8", "surrogatepass")))
    return found
