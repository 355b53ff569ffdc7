"""Tiny tokenizers with chat templates in the manner of known models."""

from typing import Any

from zoo.nlp.chat_tokenizer import prepare
from zoo.nlp.gpt_lm import Options
from zoo.nlp.trained_tokenizer import train_lossless_tokenizer

TEXTS = ["the film was fine, no plot, no cast, no ending: the end of user and assistant 图书"] * 4

LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|head|>' + m['role'] + '<|/head|>\\n\\n' + m['content'] | trim + '<|eot|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|head|>assistant<|/head|>\\n\\n' }}{% endif %}"
)
"""Contents are stripped, and a blank line begins them."""
THINKS = (
    "{% for m in messages %}{{ '<|head|>' + m['role'] + '\\n' }}"
    "{% if loop.last and m['role'] == 'assistant' %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{{ m['content'] + '<|eot|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|head|>assistant\\n' }}{% endif %}"
)
"""The last answer has a thought before it, as of Qwen3."""
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "{% if loop.index0 % 2 %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
"""No prompt for an answer, and it wants roles in turn."""
NEVER_ENDS = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
REWRITES = (
    "{% for m in messages %}{% if m['role'] == 'assistant' and not loop.last %}"
    "{{ '(an answer)' + eos_token }}{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
"""What was answered before is left out."""


def chatml(kind: Any = "bpe") -> Any:
    """A tokenizer of ours, as it is made for chats."""
    made = train_lossless_tokenizer([TEXTS], kind, 300, 96)
    return prepare(made, Options(), "chats")


def with_template(template: str) -> Any:
    """A tokenizer with another template, and the special tokens of all of these."""
    made = train_lossless_tokenizer([TEXTS], "bpe", 300, 96)
    made.add_special_tokens({"extra_special_tokens": ["<|head|>", "<|/head|>", "<|eot|>"]})
    made.chat_template, made.split_special_tokens = template, False
    return made
