"""How a tokenizer writes a template's own strings: special tokens as ids, the rest as words.

Not about what people say: their words hold no special token (``data/text/tokenise.py``). ``{bos}`` and ``{eos}`` in a
template are what the tokenizer calls so, nothing where it has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from triptych.core.errors import ModelError
from triptych.data.text.tokenise import tokeniser_of

if TYPE_CHECKING:  # a tokenizer is handed in; template.py imports this file
    from transformers import PreTrainedTokenizerBase

    from triptych.data.template import Template


class Spelling(NamedTuple):
    """How a tokenizer writes a template's own strings."""

    spans: Mapping[str, tuple[str | int, ...]]
    """Each string cut at the tokenizer's added tokens: plain text and ids."""
    stop: int
    stop_is_text: bool
    """Then what people say may look like a stop."""
    trained: frozenset[int]
    """Ids that are trained wherever they stand: ``Template.trained_tokens``."""


def spelling_of(template: Template, tokenizer: PreTrainedTokenizerBase) -> Spelling:
    """Return how the tokenizer writes the template.

    Raises:
        ModelError: the stop, or one of ``trained_tokens``, is no single token of this tokenizer.
    """
    return _spelling(template, tokenizer, len(tokenizer))


def decode_words(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what ids say, exactly; special tokens say nothing."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text


def holding(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens in whose words a text stands; looks at all of them, a second for 100,000."""
    said = tokenizer.batch_decode([[number] for number in range(len(tokenizer))])
    return [number for number, words in enumerate(said) if text in words]


@lru_cache(maxsize=64)
def _spelling(template: Template, tokenizer: PreTrainedTokenizerBase, _size: int) -> Spelling:
    """Cut the template's strings at added tokens. A tokenizer that has grown since is asked again."""
    tokens = tokenizer.added_tokens_decoder
    # Gemma 3 adds its runs of line ends as tokens that are not special: those are words, as they stand among words.
    added = {each.content: number for number, each in tokens.items() if each.special or not each.content.isspace()}
    cut = re.compile("(" + "|".join(re.escape(token) for token in sorted(added, key=len, reverse=True)) + ")")
    named = {"{bos}": tokenizer.bos_token or "", "{eos}": tokenizer.eos_token or ""}

    def spell(text: str, *, outer: bool = False) -> tuple[str | int, ...]:
        for name, token in named.items() if outer else ():
            text = text.replace(name, str(token))
        return tuple(added.get(span, span) for span in (cut.split(text) if added else [text]) if span)

    strings = {"", template.lead, template.tail, template.image_before, template.image_after}
    strings |= {template.image_between or "", template.after_system or ""}
    for around in (template.system, template.user, template.assistant):
        strings |= {around.before, around.after}
    spans = {text: spell(text) for text in strings}
    spans |= {text: spell(text, outer=True) for text in (template.begin, template.end) if text}
    return Spelling(
        spans,
        _single(template.stop, template, tokenizer, f"ends a reply with {template.stop!r}"),
        stop_is_text=template.stop not in added,
        trained=frozenset(
            _single(token, template, tokenizer, f"trains each {token!r}") for token in template.trained_tokens
        ),
    )


def _single(token: str, template: Template, tokenizer: PreTrainedTokenizerBase, what: str) -> int:
    added = tokenizer.get_added_vocab()
    ids = [added[token]] if token in added else tokeniser_of(tokenizer).bare_ids([token])[0]
    if len(ids) != 1:
        raise ModelError(
            f"template {template.name!r} {what}, which is {len(ids)} tokens of this "
            "tokenizer instead of one: choose another template, or add the token to the tokenizer."
        )
    return ids[0]
