"""Conversation -> token ids, loss mask and image slots, born together in one pass.

Not a chunk of strings searched for separators afterwards: a ``Template`` says what stands around each turn, ``render``
lays pieces (special token | words | image) in reading order, and each piece knows whether it is trained. Trained are
the assistant's words and the stop token, nothing else.

Invariants, tested in ``tests/data/test_template_properties.py``:

1. The ids equal those of the Hugging Face chat template ``template.jinja``, tokenised as one string. The exceptions: a
   cut is forced between header and reply and between reply and stop, so a reply that starts with white space (or, where
   the stop is plain text, ends with it), or that has a numbered image inside, may be cut in other places than there.
2. The training render of turns 1..k starts with the generation prompt of turns 1..k-1.
3. ``parse(render(m)) == m`` (``data/parse.py``), and ``parse_reply`` of a reply's ids is its words, as far as the
   tokenizer can write them: SmolLM2 drops control characters such as U+0004.
4. The prompt of turn k is a prefix of the prompt of turn k+1.

A literal ``<image>`` or ``<|im_end|>`` in what people say is text and never becomes a special id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from triptych.core.errors import DataError, ModelError
from triptych.core.records import Example, ImageRef, Role, Text, Turn, VideoRef
from triptych.data.jinja import write_jinja

if TYPE_CHECKING:  # a tokenizer is handed in; reading data loads no transformers
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around one role's turn; may name special tokens."""

    before: str
    """The header, e.g. ``<|im_start|>user\\n``."""
    after: str
    """What follows the turn, or for the assistant what follows the stop token. Never trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a model's conversations look like. A value: no model, no tokenizer."""

    name: str
    system: Around
    user: Around
    assistant: Around
    stop: str
    """Ends an assistant's reply and is trained; one token of the tokenizer, usually a special one."""
    lead: str = ""
    """Stands before a reply's words and is trained with them: the space after ``ASSISTANT:``, part of a word."""
    begin: str = ""
    """Stands before everything, e.g. ``<s>``."""
    default_system: str = ""
    """Said by a system turn in front when the conversation has none; empty: then there is no system turn."""
    image_before: str = ""
    """Stands before each image; ``{k}`` is the image's number in the conversation, from 1."""
    image_after: str = ""
    images_only: bool = False
    """Leave system turns and the user's words out: the prompt of a caption is its images."""

    @property
    def jinja(self) -> str:
        """The same template in Hugging Face's language: content is a string or a list of text and image parts."""
        return write_jinja(self)

    def around(self, role: Role) -> Around:
        """Return what stands around a turn of this role."""
        return {"system": self.system, "user": self.user, "assistant": self.assistant}[role]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one image's tokens stand: positions [start, stop) of the ids."""

    start: int
    stop: int
    image: ImageRef


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation as tokens."""

    id: str
    """The Example's id."""
    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    """Whether the token at this position is to be learnt (as the answer to all before it)."""
    slots: tuple[Slot, ...]
    """One per image, in reading order; never trained, never overlapping."""
    origin: str = ""
    """Where the Example was read, for messages to people."""

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """Its pictures, in reading order."""
        return tuple(slot.image for slot in self.slots)


CHATML = Template(
    name="chatml",
    system=Around("<|im_start|>system\n", "<|im_end|>\n"),
    user=Around("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=Around("<|im_start|>assistant\n", "\n"),
    stop="<|im_end|>",
)
"""OpenAI's ChatML as SmolLM2 and Qwen speak it, without a default system turn."""

PLAIN = Template(
    name="plain",
    system=Around("", ""),
    user=Around("", ""),
    assistant=Around("", ""),
    stop="\n",
    images_only=True,
)
"""Stage-1 captions: the images, then the caption and a line end. A reply that is generated ends with its first line.

Source: ``conv_plain`` of LLaVA (arXiv:2304.08485); unlike there, only the caption is trained.
"""

TEMPLATES: Mapping[str, Template] = MappingProxyType({template.name: template for template in (CHATML, PLAIN)})


def render(
    example: Example,
    template: Template,
    *,
    tokenizer: PreTrainedTokenizerBase,
    image_token_id: int,
    count_image_tokens: Callable[[ImageRef], int],
    open_reply: bool = False,
    train_demonstrations: bool = False,
) -> Encoded:
    """Return the conversation as ids, loss mask and image slots.

    Demonstrations become turns in front of the conversation's own, after its system turn.

    Args:
        example: images in their places; a video must have become frames before.
        template: what stands around the turns.
        tokenizer: of the model; must hold the template's special tokens.
        image_token_id: stands at every position of a slot.
        count_image_tokens: exact number of tokens that an image costs, > 0.
        open_reply: end with the header of the assistant's reply: the prompt to generate from.
        train_demonstrations: train the replies in demonstrations too.

    Raises:
        DataError: a video; a system turn in a demonstration; ``open_reply`` after an assistant's turn.
        ModelError: the tokenizer lacks the template's stop token.
    """
    pieces = _pieces(example, template, spelling_of(template, tokenizer))
    if open_reply:
        if example.turns and example.turns[-1].role == "assistant":
            raise DataError(f"example {example.id!r} ends with an assistant turn: leave it out to ask for a reply.")
        pieces.spelled(template.assistant.before)
    said = list(dict.fromkeys(piece.text for piece in pieces.pieces if isinstance(piece, _Words)))
    ids_of = dict(zip(said, _tokenise(said, tokenizer), strict=True))
    ids: list[int] = []
    trained: list[bool] = []
    slots: list[Slot] = []
    for piece in pieces.pieces:
        if isinstance(piece, ImageRef):
            new = [image_token_id] * count_image_tokens(piece)
            assert new, f"{piece.source} costs no tokens"
            slots.append(Slot(len(ids), len(ids) + len(new), piece))
            learnt = False
        else:
            new = ids_of[piece.text] if isinstance(piece, _Words) else [piece.id]
            learnt = piece.reply and (train_demonstrations or not piece.shown)
            if isinstance(piece, _Words) and image_token_id in new:
                raise ModelError(
                    f"the tokenizer reads a literal image token in words of example {example.id!r} as an image: "
                    "add its image token as a special token (AddedToken(special=True))."
                )
        ids += new
        trained += [learnt] * len(new)
    return Encoded(example.id, tuple(ids), tuple(trained), tuple(slots), example.origin)


def stop_id(template: Template, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id that ends a reply.

    Raises:
        ModelError: the template's stop is no single token of this tokenizer.
    """
    added = tokenizer.get_added_vocab()
    ids = [added[template.stop]] if template.stop in added else _tokenise([template.stop], tokenizer)[0]
    if len(ids) != 1:
        raise ModelError(
            f"template {template.name!r} ends a reply with {template.stop!r}, which is {len(ids)} tokens of this "
            "tokenizer instead of one: choose another template, or add the token to the tokenizer."
        )
    return ids[0]


def parse_reply(ids: Sequence[int], template: Template, *, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the words of a generated reply, cut at the stop token; other special tokens are left out."""
    spelling = spelling_of(template, tokenizer)
    said = ids[: ids.index(spelling.stop)] if spelling.stop in ids else ids
    words = words_of(said, tokenizer).removeprefix(template.lead)
    return words.partition(template.stop)[0] if spelling.stop_is_text else words


# Pieces: what a conversation is before its words are tokenised.


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    reply: bool
    shown: bool
    """Belongs to a demonstration."""


@dataclass(frozen=True, slots=True)
class _Special:
    id: int
    reply: bool = False
    shown: bool = False


class Spelling(NamedTuple):
    """How a tokenizer writes a template's own strings."""

    spans: Mapping[str, tuple[str | int, ...]]
    """Each string cut at the tokenizer's added tokens: plain text and ids."""
    stop: int
    stop_is_text: bool
    """Then what people say may look like a stop."""


class _Pieces:
    """Pieces in reading order. Adjacent words of one kind are joined, so that BPE sees them as one string."""

    def __init__(self, spelling: Spelling) -> None:
        self.spelling = spelling
        self.pieces: list[_Words | _Special | ImageRef] = []

    def words(self, text: str, *, reply: bool = False, shown: bool = False) -> None:
        last = self.pieces[-1] if self.pieces else None
        if isinstance(last, _Words) and (last.reply, last.shown) == (reply, shown):
            self.pieces[-1] = _Words(last.text + text, reply, shown)
        elif text:
            self.pieces.append(_Words(text, reply, shown))

    def spelled(self, text: str, number: int = 0) -> None:
        for span in self.spelling.spans[text]:
            if isinstance(span, int):
                self.pieces.append(_Special(span))
            else:
                self.words(span.replace("{k}", str(number)) if number else span)


def _pieces(example: Example, template: Template, spelling: Spelling) -> _Pieces:
    """Lay out the conversation. ``shown`` marks what a reply in a demonstration says."""
    pieces = _Pieces(spelling)
    pieces.spelled(template.begin)
    images = 0
    for turn, shown in _turns(example, template):
        around, reply = template.around(turn.role), turn.role == "assistant"
        pieces.spelled(around.before)
        if reply:
            pieces.words(template.lead, reply=True, shown=shown)
        for part in turn.parts:
            if isinstance(part, VideoRef):
                raise DataError(f"example {example.id!r} holds the video {part.source}: cut it into frames first.")
            if isinstance(part, ImageRef):
                images += 1
                pieces.spelled(template.image_before, images)
                pieces.pieces.append(part)
                pieces.spelled(template.image_after, images)
            elif reply or not template.images_only:
                pieces.words(part.text, reply=reply, shown=reply and shown)
        if reply:
            pieces.pieces.append(_Special(spelling.stop, reply=True, shown=shown))
        pieces.spelled(around.after)
    return pieces


def _turns(example: Example, template: Template) -> Iterator[tuple[Turn, bool]]:
    """Yield each turn that is rendered and whether it belongs to a demonstration: system, demonstrations, the rest."""
    own = example.turns
    system, rest = (own[:1], own[1:]) if own and own[0].role == "system" else ((), own)
    if not system and template.default_system:
        system = (Turn("system", (Text(template.default_system),)),)
    if not template.images_only:
        yield from ((turn, False) for turn in system)
    for turn in _shown(example):
        if turn.role == "system":
            raise DataError(f"a demonstration of example {example.id!r} has a system turn: give it to the example.")
        yield turn, True
    yield from ((turn, False) for turn in rest if not (template.images_only and turn.role == "system"))


def _shown(example: Example) -> Iterator[Turn]:
    for demonstration in example.demonstrations:
        yield from _shown(demonstration)
        yield from demonstration.turns


def spelling_of(template: Template, tokenizer: PreTrainedTokenizerBase) -> Spelling:
    """Return how the tokenizer writes the template; raises ModelError as ``stop_id``."""
    return _spelling(template, tokenizer, len(tokenizer))


@lru_cache(maxsize=64)
def _spelling(template: Template, tokenizer: PreTrainedTokenizerBase, _size: int) -> Spelling:
    """Cut the template's strings at added tokens. A tokenizer that has grown since is asked again."""
    added = tokenizer.get_added_vocab()
    cut = re.compile("(" + "|".join(re.escape(token) for token in sorted(added, key=len, reverse=True)) + ")")
    strings = {template.begin, template.lead, template.image_before, template.image_after}
    for around in (template.system, template.user, template.assistant):
        strings |= {around.before, around.after}
    spans = {text: tuple(added.get(span, span) for span in cut.split(text) if span) for text in strings}
    return Spelling(spans, stop_id(template, tokenizer), stop_is_text=template.stop not in added)


def _tokenise(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Return the ids of plain words: no token is special in there, and none is added around them."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids


def words_of(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what ids say, exactly; special tokens say nothing."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text
