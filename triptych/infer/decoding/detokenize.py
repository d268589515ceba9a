"""The words of a reply while its tokens come: whole characters only, and nothing of a text that ends it.

Not which tokens come (``sampling``). A character may be cut between two tokens, and a stop text may be about to begin:
such words are held back until it is known. At its end the words are those that ``parse_reply`` reads in the tokens, cut
at the first stop text. Each token is decoded with a few before it, not with all, so a long reply costs no more a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

from triptych.data.template import Template, parse_reply
from triptych.data.text.spelling import decode_words, spelling_of

CUT_CHARACTER = "\N{REPLACEMENT CHARACTER}"
CONTEXT_TOKENS = 8
"""How many tokens before a new one are decoded with it: what a token says may depend on the one before it."""


class Detokenizer:
    """A reply's words. Its state: the tokens so far, what they say, and how much of that has been said."""

    def __init__(self, template: Template, tokenizer: PreTrainedTokenizerBase, *, stop: Sequence[str] = ()) -> None:
        """Begin.

        Args:
            template: of the model; its own end of a reply, where that is plain text, ends it too.
            tokenizer: of the model; used by one thread at a time.
            stop: texts that end the reply, none of them empty.
        """
        self._template = template
        self._tokenizer = tokenizer
        as_text = spelling_of(template, tokenizer).stop_is_text
        self._stops = (*stop, template.stop) if as_text else tuple(stop)
        self._ids: list[int] = []
        self._whole = ""
        """What the tokens say up to the last at which all characters were whole, the template's lead included."""
        self._from = self._settled = 0
        self.said = 0
        """How many characters have been handed out."""
        self._end: int | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop text has come."""
        return self._end is not None

    @property
    def characters(self) -> int:
        """How many whole characters there are by now, handed out or held back."""
        return len(self._text) if self._end is None else self._end

    def add(self, token: int) -> str:
        """Return what may be said now that this token has come, mostly its word."""
        self._ids.append(token)
        known = decode_words(self._ids[self._from : self._settled], self._tokenizer)
        now = decode_words(self._ids[self._from :], self._tokenizer)
        if now.endswith(CUT_CHARACTER):
            return ""
        self._whole += now[len(known) :]
        self._settled = len(self._ids)
        self._from = max(0, self._settled - CONTEXT_TOKENS)
        text = self._text
        self._end = self._stop_in(text)
        return self._say(text, len(text) - self._held(text) if self._end is None else self._end)

    def finish(self) -> str:
        """Return what is left to say after the last token, which is not the one that ends replies."""
        text = parse_reply(self._ids, self._template, tokenizer=self._tokenizer)
        if self._end is not None:
            return ""
        end = self._stop_in(text)
        return self._say(text, len(text) if end is None else end)

    @property
    def _text(self) -> str:
        lead = self._template.lead
        return "" if lead.startswith(self._whole) else self._whole.removeprefix(lead)

    def _stop_in(self, text: str) -> int | None:
        """Return where the stop text begins that is complete first, however the text was cut into tokens."""
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop, self.said)) >= 0]
        return min(found)[1] if found else None

    def _say(self, text: str, until: int) -> str:
        new = text[self.said : until]
        self.said = max(self.said, until)
        return new

    def _held(self, text: str) -> int:
        """Return how many characters at the end may be the beginning of what is never said."""
        tail = self._template.tail
        starts = [stop[:length] for stop in self._stops for length in range(1, len(stop))]
        starts += [tail[:length] for length in range(1, len(tail) + 1)]
        return max((len(start) for start in starts if text[self.said :].endswith(start)), default=0)


def bytes_of_token(token: int, tokenizer: PreTrainedTokenizerBase) -> bytes:
    """Return what a token stands for, which may be part of a character; special tokens by their names."""
    added = tokenizer.added_tokens_decoder.get(token)
    if added is not None:
        return str(added.content).encode()
    piece = str(tokenizer.convert_ids_to_tokens(token))
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])  # a byte of a SentencePiece tokenizer
    alphabet = _alphabet()
    if _speaks_bytes(tokenizer) and all(character in alphabet for character in piece):
        return bytes(alphabet[character] for character in piece)
    return piece.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


@lru_cache(maxsize=1)
def _alphabet() -> dict[str, int]:
    """Return which byte each character of a byte-level tokenizer stands for."""
    return {character: number for number, character in bytes_to_unicode().items()}


def _speaks_bytes(tokenizer: PreTrainedTokenizerBase) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = getattr(backend, "decoder", None)
    return decoder is not None and b"ByteLevel" in decoder.__getstate__()
