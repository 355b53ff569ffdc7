"""A tokenizer that writes chats: its chat template, and room in the weights for the tokens of it.

ChatML (https://github.com/openai/openai-python/blob/v0.28.1/chatml.md, as Qwen's models have it)
begins a turn with a token and the role, and ends it with another token. It is what new weights
learn; pretrained ones without a template of their own take it where it is asked for.
"""

import sys
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.nlp.text_forms import Form
from tasks.paths import expanded
from tasks.printing import print_lines

if TYPE_CHECKING:
    from zoo.nlp.gpt_lm import Options

CHATML = "chatml"
BEGIN, END = "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML, with the answers marked as transformers and TRL read it."""
LONGEST = 1_000_000
"""Characters of a template's file."""


def prepare(tokenizer: Any, options: "Options", form: Form) -> Any:
    """Return the tokenizer as the form of the data wants it: for chats with a chat template.

    The vocabulary of one of ours, which reads no special token out of a text, may grow unasked.

    Raises `UserError` where there is no template, or what is asked for is none.
    """
    asked = options.chat_template
    if form != "chats":
        if asked is not None:
            raise UserError(f"`chat_template` {asked} writes chats, and these data are {form}")
        return tokenizer
    if asked is None and not tokenizer.chat_template:
        if not tokenizer.split_special_tokens:
            raise UserError(
                f"the tokenizer of {options.model} has no chat template: name the file of one "
                "(`chat_template` FILE), or take `chat_template` chatml, whose tokens are added"
            )
        asked = CHATML
    if asked == CHATML:
        before = tokenizer.get_vocab()
        tokenizer.add_special_tokens({"extra_special_tokens": _with_chatml(tokenizer)})
        added = [token for token in (BEGIN, END) if token not in before]
        tokenizer.new_tokens = tuple(tokenizer.convert_tokens_to_ids(added))  # for `make_room`
        tokenizer.chat_template = TEMPLATE
    elif asked is not None:
        tokenizer.chat_template = _read(asked)
    tokenizer.split_special_tokens = False  # or plain transformers would read a turn's tokens apart
    return tokenizer


def _with_chatml(tokenizer: Any) -> list[str]:
    """Return a tokenizer's further special tokens, with those of ChatML."""
    known = [str(one) for one in tokenizer.extra_special_tokens]
    return [*known, *(token for token in (BEGIN, END) if token not in known)]


def _read(name: str) -> str:
    """Return the template in a file. Raises `UserError` where there is none, or it is no Jinja."""
    path = expanded(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"`chat_template` {name} is no UTF-8 text") from None
    except OSError as error:
        raise UserError(
            f"`chat_template` {name} can't be read: {error.strerror}", hint=f"or take {CHATML}"
        ) from None
    if not text.strip() or len(text) > LONGEST:
        raise UserError(f"`chat_template` {name} has {len(text):,} characters: that is no template")
    return text


def make_room(model: Any, tokenizer: Any, name: str) -> None:
    """Give a model rows for the tokens that `prepare` has added to its tokenizer, in place.

    A vocabulary that is padded to a round size has rows to spare, which nobody has trained: they
    become the mean of the rows before them. Others are added, each about that mean, drawn from
    torch's global random state.
    """
    new: tuple[int, ...] = getattr(tokenizer, "new_tokens", ())
    if not new:
        return
    rows = model.get_input_embeddings().num_embeddings
    if max(new) >= rows:
        model.resize_token_embeddings(max(new) + 1)
    spare = [token for token in new if token < rows]
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        for values in (layer.weight, getattr(layer, "bias", None)):
            if spare and values is not None:
                values.data[spare] = values.data[: new[0]].mean(0)
    model.new_tokens = new  # which adapters train, too
    added = ", ".join(tokenizer.convert_ids_to_tokens(list(new)))
    print_lines(f"{name}: {len(new)} tokens are new: {added}", file=sys.stderr)
