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
from triptych.core.records import Example, ImageRef, images_of
from triptych.data.format import Refused, refusal
from triptych.data.plan.costs import Cost, Fixed
from triptych.data.template import Encoded, Template, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOO_LONG = "longer than pack_tokens"


@dataclass(frozen=True, eq=False)
class Rendering:
    """How Examples become a model's tokens."""

    template: Template
    tokenizer: PreTrainedTokenizerBase
    image_token_id: int
    cost: Cost

    @property
    def asks_sizes(self) -> bool:
        """Whether what an image costs depends on its size."""
        return not isinstance(self.cost, Fixed)

    @property
    def numbers_images(self) -> bool:
        """Whether the template writes each image's number beside it."""
        around = (self.template.image_before, self.template.image_between, self.template.image_after)
        return any("{k}" in (text or "") for text in around)

    @cached_property
    def digest(self) -> str:
        """Tell this from others: the same digest, the same tokens."""
        written = (self.template, self.image_token_id, self.cost, sorted(self.tokenizer.get_added_vocab().items()))
        digest = hashlib.sha256(repr(written).encode("utf-8"))
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
        rendering: of the model.
    """
    cost = rendering.cost.among(len(images_of(example)))

    def count(image: ImageRef) -> int:
        return cost.span(image.size or (1, 1))

    try:
        encoded = render(
            example,
            rendering.template,
            tokenizer=rendering.tokenizer,
            image_token_id=rendering.image_token_id,
            count_image_tokens=count,
        )
    except DataError as error:
        return refusal(example, "cannot be rendered", str(error))
    if not any(encoded.trained[1:]):
        return refusal(example, "no assistant turn", "it has no reply to learn: give it an assistant turn.")
    return encoded


def too_long(row: Encoded, *, pack_tokens: int) -> Refused:
    """Return the refusal of a row that no pack can hold."""
    where = f"{row.origin} (id {row.id!r})"
    advice = f"it has {len(row.ids)} tokens, pack_tokens is {pack_tokens}: raise pack_tokens, or shorten it."
    return Refused(where, TOO_LONG, f"{where}: {advice}")


def _plain(state: str, bos: str | None, eos: str | None) -> PlainTokenizer:
    return PlainTokenizer(state, bos=bos, eos=eos)


def _text(token: object) -> str | None:
    return None if token is None else str(token)
