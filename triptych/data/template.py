"""The contract of ``templates/``: conversation -> token ids, loss mask and image slots, born together in one pass.

Not a chunk of strings searched for separators afterwards: a ``Template`` says what stands around each turn, ``render``
lays pieces (special token | words | image) in reading order, and each piece knows whether it is trained. Trained are
the assistant's words and the stop token, of replies that are learnt (``Turn.learnt``); more where a published template
says so (``Template.also_trained``).

Invariants, tested in ``tests/data/test_template_properties.py`` over every template; a template's file says which of
them its published form cannot keep:

1. The ids equal those of the Hugging Face chat template ``template.jinja``, tokenised as one string. The exceptions: a
   cut is forced between header and reply, so a reply that starts with white space, or that has a numbered image inside,
   may be cut in other places than there.
2. The training render of turns 1..k starts with the generation prompt of turns 1..k-1.
3. ``parse(render(m)) == m`` (``data/text/parse.py``), and ``parse_reply`` of a reply's ids is its words, as far as the
   tokenizer can write them: SmolLM2 drops control characters such as U+0004.
4. The prompt of turn k is a prefix of the prompt of turn k+1.

A literal ``<image>`` or ``<|im_end|>`` in what people say is text and never becomes a special id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

from triptych.core.errors import DataError, ModelError
from triptych.core.plugins import find, names
from triptych.core.records import Example, ImageRef, Role
from triptych.data.format import Refused, refusal
from triptych.data.text.jinja import write_jinja
from triptych.data.text.pieces import CONTEXT, LEARNT, SHOWN, Frame, Laid, laid_for, pieces_of
from triptych.data.text.spelling import Spelling, decode_words, holding, spelling_of
from triptych.data.text.tokenise import Run, Tokeniser, tokeniser_of

if TYPE_CHECKING:  # a tokenizer is handed in; reading data loads no transformers
    from transformers import PreTrainedTokenizerBase

RENDERED_AT_ONCE = 256
"""Conversations whose words go through the tokenizer in one call."""

Trainable = Literal["begin", "demonstrations", "end", "header", "wrappers"]


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
    leads_words: bool = False
    """``lead`` stands before what users and system turns say too, and nowhere where a turn begins with an image."""
    tail: str = ""
    """Stands between a reply's words and the stop, and is trained with them."""
    begin: str = ""
    """Stands before everything, e.g. ``<s>``. ``{bos}`` is what the tokenizer calls its beginning, if it has one."""
    end: str = ""
    """Stands after everything, but for an open reply. ``{eos}`` is what the tokenizer calls its end, if it has one."""
    default_system: str = ""
    """Said by a system turn in front when the conversation has none; empty: then there is no system turn."""
    after_system: str | None = None
    """The header of a user's turn right after the system turn. None: as everywhere."""
    image_before: str = ""
    """Stands before each image; ``{k}`` is the image's number in the conversation."""
    image_after: str = ""
    image_between: str | None = None
    """Stands between two images with no words between them, in place of the first's ``image_after`` and the second's
    ``image_before``; ``{k}`` is the second's number. None: those two."""
    first_number: int = 1
    images_apart: bool = False
    """What stands around images is tokenised by itself, not with the words next to it."""
    image_ends_text: bool = False
    """What follows an image is tokenised as a text of its own, as LLaVA's code does: with a space before its first word
    where the tokenizer puts one before a text."""
    images_lead: bool = False
    """Images that a user's turn begins with stand before its header."""
    images_only: bool = False
    """Leave system turns and the user's words out: the prompt of a caption is its images."""
    first_reply_only: bool = False
    """With ``images_only``: all images in front, then the words of the first reply and nothing more."""
    one_image_first: bool = False
    """Move a turn's only image in front of its words, as ``data/text/turns.py`` says."""
    trimmed: bool = False
    """What users and replies say between images loses the white space around it, as ``data/text/turns.py`` says."""
    also_trained: tuple[Trainable, ...] = ()
    """What a published mask trains besides replies and their stops. ``header``: that of replies. ``wrappers``: what
    stands around images in a reply, and with ``images_only`` around all. ``begin``, ``end``: those strings.
    ``demonstrations``: replies in demonstrations."""
    trained_tokens: tuple[str, ...] = ()
    """Single tokens that a published mask trains wherever they stand, in users' turns too; in no unlearnt reply."""

    @property
    def jinja(self) -> str:
        """This template as a Hugging Face chat template; content is a string or a list of text and image parts."""
        return write_jinja(self)

    def around(self, role: Role) -> Around:
        """Return what stands around a turn of this role."""
        return {"system": self.system, "user": self.user, "assistant": self.assistant}[role]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one image's tokens stand, with its family's marks between them: positions [start, stop) of the ids.

    Empty where it shares the tokens of the image before it, right behind which it stands then (``Cost.joins``).
    """

    start: int
    stop: int
    image: ImageRef


class Place(NamedTuple):
    """Where images stand that share their tokens; for most families each image has a place of its own."""

    start: int
    stop: int
    images: tuple[ImageRef, ...]


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
    targets: tuple[float, ...] = ()
    """What a score head is to say of it, in the order of its outputs; empty: nothing is to be learnt of that."""
    reads: tuple[int, ...] = ()
    """Positions at which a score head reads, one for each of its targets."""

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """Its images, in reading order."""
        return tuple(slot.image for slot in self.slots)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where its images stand, in reading order; none is empty."""
        places: list[Place] = []
        for slot in self.slots:
            if slot.stop > slot.start:
                places.append(Place(slot.start, slot.stop, (slot.image,)))
            else:
                places[-1] = places[-1]._replace(images=(*places[-1].images, slot.image))
        return tuple(places)


def find_template(name: str) -> Template:
    """Return the template of a file in ``templates/``, or of a dotted module. Raises NotFoundError."""
    return find("template", name, expected=Template)


def template_names() -> list[str]:
    """Return the names of all templates, sorted."""
    return names("template")


def template_of_jinja(jinja: str) -> Template | None:
    """Return the template that writes this chat template, with the plainest mask of those that do; None: nobody."""
    return plainest(template for template in map(find_template, template_names()) if template.jinja == jinja)


def plainest(templates: Iterable[Template]) -> Template | None:
    """Return the template with the plainest mask, of those the first by name; None: there are none."""
    return min(templates, key=lambda each: len(each.also_trained) + len(each.trained_tokens), default=None)


def render(
    example: Example,
    template: Template,
    *,
    tokenizer: PreTrainedTokenizerBase,
    image_token_id: int,
    image_ids: Callable[[ImageRef], Sequence[int]],
    frame_ids: Callable[[bool], Sequence[int]] | None = None,
    joined: bool = False,
    open_reply: bool = False,
    train_demonstrations: bool = False,
) -> Encoded:
    """Return the conversation as ids, loss mask and image slots.

    Demonstrations become turns in front of the conversation's own, after its system turn.

    Args:
        example: images in their places; a video must have become frames before.
        template: what stands around the turns.
        tokenizer: of the model; must hold the template's special tokens.
        image_token_id: no words may become it.
        image_ids: what stands in an image's slot, at least one id.
        frame_ids: what stands in the slot of a video's frame, told whether it is the last one; the frames of a video
            stand as one image then. None: a frame is an image like any other.
        joined: images with nothing between them share the first one's ids.
        open_reply: end with the header of the assistant's reply: the prompt to generate from.
        train_demonstrations: train the replies in demonstrations too.

    Raises:
        DataError: a video; a system turn in a demonstration; ``open_reply`` after an assistant's turn.
        ModelError: the tokenizer lacks the template's stop token.
    """
    if open_reply and example.turns and example.turns[-1].role == "assistant":
        raise DataError(f"example {example.id!r} ends with an assistant turn: leave it out to ask for a reply.")
    spelling, tokeniser = spelling_of(template, tokenizer), tokeniser_of(tokenizer)
    pieces = pieces_of(example, template, spelling=spelling, open_reply=open_reply, frames=frame_ids is not None)
    laid = laid_for(tokeniser, pieces, template=template)
    ids_of = tokeniser.ids_of(list(dict.fromkeys(what for what, _ in laid if isinstance(what, Run))))
    learnt = {LEARNT, SHOWN} if train_demonstrations else {LEARNT}
    rendering = _Rendering(spelling, image_token_id, image_ids, learnt, frame_ids, joined)
    return rendering.encoded(example, laid, ids_of)


def render_many(
    examples: Iterable[Example | Refused],
    template: Template,
    *,
    tokenizer: PreTrainedTokenizerBase,
    image_token_id: int,
    image_ids: Callable[[ImageRef], Sequence[int]],
    train_demonstrations: bool = False,
) -> Iterator[Encoded | Refused]:
    """Yield each conversation as ``render`` gives it, or refused, as ``cannot be rendered`` or as before, in order.

    Raises:
        ModelError: as ``render``.
    """
    spelling, tokeniser = spelling_of(template, tokenizer), tokeniser_of(tokenizer)
    learnt = {LEARNT, SHOWN} if train_demonstrations else {LEARNT}
    rendering = _Rendering(spelling, image_token_id, image_ids, learnt)
    rows = iter(examples)
    while chunk := list(islice(rows, RENDERED_AT_ONCE)):
        laid = [_laid(row, template, spelling, tokeniser) for row in chunk]
        said = {what for row in laid if not isinstance(row, Refused) for what, _ in row[1] if isinstance(what, Run)}
        ids_of = tokeniser.ids_of(list(said))
        yield from (row if isinstance(row, Refused) else rendering.encoded(*row, ids_of) for row in laid)


def stop_id(template: Template, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id that ends a reply.

    Raises:
        ModelError: the template's stop is no single token of this tokenizer.
    """
    return spelling_of(template, tokenizer).stop


def stop_ids(template: Template, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids that end a model's reply: the template's stop, and what the tokenizer calls its end.

    Where the stop is plain text also each token that holds it: Llama 3 has a full stop and a line end as one.

    Raises:
        ModelError: as ``stop_id``.
    """
    spelling = spelling_of(template, tokenizer)
    end = set() if tokenizer.eos_token_id is None else {int(tokenizer.eos_token_id)}
    return frozenset({spelling.stop, *end, *(holding(template.stop, tokenizer) if spelling.stop_is_text else ())})


def parse_reply(ids: Sequence[int], template: Template, *, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the words of a generated reply, cut at the stop token; other special tokens are left out."""
    spelling = spelling_of(template, tokenizer)
    said = ids[: ids.index(spelling.stop)] if spelling.stop in ids else ids
    words = decode_words(said, tokenizer).removeprefix(template.lead)
    words = words.partition(template.stop)[0] if spelling.stop_is_text else words
    return words.removesuffix(template.tail)


def _laid(
    row: Example | Refused, template: Template, spelling: Spelling, tokeniser: Tokeniser
) -> tuple[Example, list[Laid]] | Refused:
    if isinstance(row, Refused):
        return row
    try:
        return row, laid_for(tokeniser, pieces_of(row, template, spelling=spelling), template=template)
    except DataError as error:
        return refusal(row, "cannot be rendered", message=str(error))


@dataclass(frozen=True, slots=True)
class _Rendering:
    """Pieces -> Encoded."""

    spelling: Spelling
    image_token_id: int
    image_ids: Callable[[ImageRef], Sequence[int]]
    learnt: set[int]
    """Kinds of pieces that are trained."""
    frame_ids: Callable[[bool], Sequence[int]] | None = None
    joined: bool = False

    def encoded(self, example: Example, pieces: list[Laid], ids_of: Mapping[Run, list[int]]) -> Encoded:
        """Return the example's tokens; ``ids_of`` has those of every piece of words."""
        everywhere = self.spelling.trained
        ids: list[int] = []
        trained: list[bool] = []
        slots: list[Slot] = []
        behind_image = False
        for what, kind in pieces:
            joins, behind_image = self.joined and behind_image, isinstance(what, ImageRef | Frame)
            if isinstance(what, ImageRef | Frame):
                image, here = self._slot(what)
                assert here, f"{image.source} costs no tokens"
                here = () if joins else here
                slots.append(Slot(len(ids), len(ids) + len(here), image))
                ids += here
                trained += [False] * len(here)
                continue
            new = ids_of[what] if isinstance(what, Run) else [what]
            if isinstance(what, Run) and self.image_token_id in new:
                raise ModelError(
                    f"the tokenizer reads a literal image token in words of example {example.id!r} as an image: "
                    "add its image token as a special token (AddedToken(special=True))."
                )
            ids += new
            is_learnt = kind in self.learnt
            anyway = everywhere if kind < CONTEXT else frozenset()
            trained += [is_learnt or each in anyway for each in new] if anyway else [is_learnt] * len(new)
        return Encoded(example.id, tuple(ids), tuple(trained), tuple(slots), example.origin)

    def _slot(self, what: ImageRef | Frame) -> tuple[ImageRef, Sequence[int]]:
        if isinstance(what, ImageRef):
            return what, self.image_ids(what)
        assert self.frame_ids is not None, "frames are told from images only where they have ids of their own"
        return what.image, self.frame_ids(what.last)
