"""What one model makes of an Example: its tokens, or why it cannot learn from it. A value that other processes get.

Not the template (``template``) and not what images cost (``costs``): they are put together here with the tokenizer.
``portable`` gives the same without transformers and torch, so that a process that only reads starts in a blink.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from tokenizers import Tokenizer

from triptych.core.errors import DataError
from triptych.core.records import Example, images_of
from triptych.data.format import Refused, RowError, refusal
from triptych.data.media.images import Size
from triptych.data.plan.costs import Cost, Fixed
from triptych.data.plan.scoring import Scoring, targets_of
from triptych.data.template import Encoded, Template, render
from triptych.data.text.tokenise import tokeniser_of
from triptych.data.text.turns import turns_in_order, turns_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOO_LONG = "longer than pack_tokens"
ONLY_READ = "no reply is learnt"


@dataclass(frozen=True, eq=False)
class Rendering:
    """How Examples become a model's tokens."""

    template: Template
    tokenizer: PreTrainedTokenizerBase
    image_token_id: int
    cost: Cost
    scored: Scoring | None = None
    """What is learnt of a row: its labels by a score head. None: its replies."""

    @property
    def asks_sizes(self) -> bool:
        """Whether what an image costs depends on its size."""
        return not isinstance(self.cost, Fixed)

    @property
    def numbers_images(self) -> bool:
        """Whether the template writes each image's number beside it."""
        around = (self.template.image_before, self.template.image_between, self.template.image_after)
        return any("{k}" in (text or "") for text in around)

    @property
    def keeps_words(self) -> bool:
        """Whether the words that are written of a conversation are written of a longer one with the same end, too."""
        return not self.template.first_reply_only

    def image_ids(self, size: Size, cost: Cost) -> list[int]:
        """Return the ids that stand in the slot of an image: image tokens, and the family's marks between them.

        Args:
            size: of the image, (width, height) in pixels.
            cost: of the images of this conversation (``Cost.among``), or of a frame (``Cost.framed``).
        """
        ids: list[int] = []
        for what in cost.pattern(size):
            ids += [self.image_token_id] * what if isinstance(what, int) else self._marks(what)
        return ids

    def _marks(self, text: str) -> list[int]:
        if text not in self._spelled:
            added = self.tokenizer.get_added_vocab()
            self._spelled[text] = [added[text]] if text in added else tokeniser_of(self.tokenizer).ids([text])[0]
        return self._spelled[text]

    @cached_property
    def _spelled(self) -> dict[str, list[int]]:
        return {}

    @cached_property
    def digest(self) -> str:
        """Tell this from others: the same digest, the same tokens."""
        written = (self.template, self.image_token_id, self.cost, sorted(self.tokenizer.get_added_vocab().items()))
        digest = hashlib.sha256(repr(written if self.scored is None else (*written, self.scored)).encode("utf-8"))
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        known = sorted(self.tokenizer.get_vocab().items()) if backend is None else backend.to_str()
        digest.update(repr(known).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def portable(self) -> Rendering:
        """Return the same with a tokenizer that needs no transformers, where there is one."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer) or isinstance(self.tokenizer, PlainTokenizer):
            return self
        known = self.tokenizer
        plain = PlainTokenizer(backend.to_str(), bos=_text(known.bos_token), eos=_text(known.eos_token))
        return replace(self, tokenizer=cast("PreTrainedTokenizerBase", plain))


class PlainTokenizer:
    """What rendering asks of a tokenizer of transformers, by the library that does the work there."""

    def __init__(self, state: str, *, bos: str | None, eos: str | None) -> None:
        """Take the JSON of a tokenizer (``tokenizer.json``), and what it calls beginning and end."""
        self.backend_tokenizer = Tokenizer.from_str(state)
        self.backend_tokenizer.no_truncation()
        self.backend_tokenizer.no_padding()
        self.bos_token = bos
        self.eos_token = eos
        self.bos_token_id = None if bos is None else self.backend_tokenizer.token_to_id(bos)
        self._size = int(self.backend_tokenizer.get_vocab_size(with_added_tokens=True))

    def __call__(self, texts: list[str], **_settings: bool) -> dict[str, list[list[int]]]:
        """Return the ids of plain words: no token is special in there, and none is added around them."""
        self.backend_tokenizer.encode_special_tokens = True
        encoded = self.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return {"input_ids": [each.ids for each in encoded]}

    def __len__(self) -> int:
        """Return the number of tokens, added ones too."""
        return self._size

    def __reduce__(self) -> tuple[object, ...]:
        """Go to another process as JSON."""
        return _plain, (self.backend_tokenizer.to_str(), self.bos_token, self.eos_token)

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        """The added tokens by id."""
        return dict(self.backend_tokenizer.get_added_tokens_decoder())

    def get_added_vocab(self) -> dict[str, int]:
        """Return the ids of the added tokens."""
        return {token.content: number for number, token in self.added_tokens_decoder.items()}


def encode(example: Example, rendering: Rendering) -> Encoded | Refused:
    """Return an example as tokens, or its refusal: it cannot be rendered, or has nothing to learn.

    Args:
        example: with the sizes of its images where the rendering asks for them.
        rendering: of the model; where it says what is scored, the targets are learnt, no reply is needed, and which
            replies are learnt says nothing.
    """
    try:
        if rendering.scored is not None:
            return replace(scored_prompt_of(example, rendering), targets=targets_of(example, rendering.scored))
        encoded = tokens_of(example, rendering)
    except RowError as error:
        return refusal(example, error.reason, message=str(error))
    except DataError as error:
        return refusal(example, "cannot be rendered", message=str(error))
    if _is_only_read(example, rendering.template):
        message = "none of its replies is learnt (`loss: false`), so it would only be read. Leave the row out."
        return refusal(example, ONLY_READ, message=message)
    if not any(encoded.trained[1:]):
        return refusal(example, "no assistant turn", message="it has no reply to learn: give it an assistant turn.")
    return encoded


def _is_only_read(example: Example, template: Template) -> bool:
    """Return whether there are replies, and none of those that the template lays is learnt."""
    if all(turn.learnt for turn in turns_in_order(example)):
        return False
    shown_too = "demonstrations" in template.also_trained
    turns = turns_of(example, template, open_reply=False)
    replies = [turn.learnt for turn in turns if turn.role == "assistant" and (shown_too or not turn.shown)]
    return bool(replies) and not any(replies)


def tokens_of(example: Example, rendering: Rendering) -> Encoded:
    """Return an example as tokens, whether or not there is something to learn.

    Args:
        example: with the sizes of its images where the rendering asks for them.
        rendering: of the model.

    Raises:
        DataError, ModelError: as ``data.template.render``.
    """
    return _render(example, rendering, open_reply=False)


def prompt_of(example: Example, rendering: Rendering) -> Encoded:
    """Return the tokens that a reply to the example is generated from.

    Args:
        example: ends with a turn of the user's; with the sizes of its images where the rendering asks for them.
        rendering: of the model.

    Raises:
        DataError, ModelError: as ``data.template.render``.
    """
    return _render(example, rendering, open_reply=True)


def scored_prompt_of(example: Example, rendering: Rendering) -> Encoded:
    """Return the tokens that a score head reads, and where it does; none of them is trained.

    Args:
        example: a question, or with the assistant's turn at its end a conversation that is judged as it stands; with
            the sizes of its images where the rendering asks for them.
        rendering: of the model, with what is scored.

    Raises:
        DataError, ModelError: as ``data.template.render``.
    """
    scoring = rendering.scored
    assert scoring is not None, "the rendering does not say what is scored"
    answered = bool(example.turns) and example.turns[-1].role == "assistant"
    prompt = _render(example, rendering, open_reply=not answered)
    if not prompt.ids:
        raise DataError(f"example {example.id!r} has neither words nor images: there is nothing to score.")
    ids, reads = list(prompt.ids), [len(prompt.ids) - 1] * len(scoring.targets)
    for number, text in enumerate(tokeniser_of(rendering.tokenizer).ids(list(scoring.texts))):
        ids += text
        reads[number] = len(ids) - 1
    return replace(prompt, ids=tuple(ids), trained=(False,) * len(ids), reads=tuple(reads))


def _render(example: Example, rendering: Rendering, *, open_reply: bool) -> Encoded:
    told = rendering.cost.frame is not None
    cost = rendering.cost.among(sum(not (told and image.video) for image in images_of(example)))

    def frame_ids(last: bool) -> list[int]:
        return rendering.image_ids((1, 1), rendering.cost.framed(last=last))

    template = rendering.template if rendering.scored is None else rendering.scored.template(rendering.template)
    return render(
        example,
        template,
        tokenizer=rendering.tokenizer,
        image_token_id=rendering.image_token_id,
        image_ids=lambda image: rendering.image_ids(image.size or (1, 1), cost),
        frame_ids=frame_ids if told else None,
        joined=rendering.cost.joins,
        open_reply=open_reply,
    )


def in_pack(row: Encoded | Refused, *, pack_tokens: int) -> Encoded | Refused:
    """Return the row, or its refusal where no pack can hold it."""
    if isinstance(row, Refused) or len(row.ids) <= pack_tokens:
        return row
    where = f"{row.origin} (id {row.id!r})"
    advice = f"it has {len(row.ids)} tokens, pack_tokens is {pack_tokens}: raise pack_tokens, or shorten it."
    return Refused(where, TOO_LONG, f"{where}: {advice}")


def _plain(state: str, bos: str | None, eos: str | None) -> PlainTokenizer:
    return PlainTokenizer(state, bos=bos, eos=eos)


def _text(token: object) -> str | None:
    return None if token is None else str(token)
