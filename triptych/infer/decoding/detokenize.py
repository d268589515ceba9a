"""The words of a reply while its tokens come: whole characters only, and nothing of a text that ends it.

Not which tokens come (``sampling``). A character may be cut between two tokens, and a stop text may be about to begin:
such words are held back until it is known. At its end the words are those that ``parse_reply`` reads in the tokens, cut
at the first stop text. Each token is decoded with a few before it, not with all, so a long reply costs no more a token.

Where tokens are bytes and one of a run is torn, some tokenizers (``ByteFallback``: Llama 2, Mistral) read the whole run
as torn. What was said of it by then, character by character, stays; from the torn one on each byte is a mark.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

from triptych.data.template import Template, parse_reply
from triptych.data.text.spelling import decode_words, spelling_of

CUT_CHARACTER = "\N{REPLACEMENT CHARACTER}"
CONTEXT_TOKENS = 8
"""How many tokens, or a few more, are decoded with a new one: what a token says may depend on the one before it."""
LONGEST_CHARACTER = 4
"""Most bytes of a character."""


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
        self._ends_as_text = spelling_of(template, tokenizer).stop_is_text
        self._stops = (*stop, template.stop) if self._ends_as_text else tuple(stop)
        self._ids: list[int] = []
        self._silent = _silent(tokenizer, len(tokenizer))
        self._heard: list[int] = []
        """The tokens that say anything, as a decoder is given them."""
        self._whole = ""
        """What these say up to ``_settled``, the template's lead included, but for a character cut at its end."""
        self._settled = 0
        self._starts = deque([0])
        """Where decoding may begin, in the order of places: no run of bytes is cut in the middle of a character."""
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
        if token in self._silent:
            return ""
        self._heard.append(token)
        byte = _is_byte(str(self._tokenizer.convert_ids_to_tokens(token)))
        if byte and len(self._heard) - self._settled > LONGEST_CHARACTER:
            return ""  # a run of bytes that is torn: what it says is known where it ends
        now = self._decoded(self._starts[0])
        if byte and now.endswith(CUT_CHARACTER):
            return ""
        self._whole += self._new(now).removesuffix(CUT_CHARACTER)
        self._settled = len(self._heard)
        self._starts.append(self._settled)
        while len(self._starts) > 1 and self._starts[1] <= self._settled - CONTEXT_TOKENS:
            self._starts.popleft()
        text = self._text
        self._end = self._stop_in(text)
        return self._say(text, len(text) - self._held(text) if self._end is None else self._end)

    def end(self, token: int) -> str:
        """Return what the token that ends the reply says of it: the words before a stop that is text, else nothing."""
        held = self._ends_as_text and self._template.stop in decode_words([token], self._tokenizer)
        return self.add(token) if held else ""

    def finish(self) -> str:
        """Return what is left to say after the last token, which is not the one that ends replies."""
        text = parse_reply(self._ids, self._template, tokenizer=self._tokenizer)
        if self._end is not None:
            return ""
        if not text.startswith(self._text[: self.said]):
            new = self._new(self._decoded(self._starts[0]))
            text = (self._whole + new).removeprefix(self._template.lead).removesuffix(self._template.tail)
        end = self._stop_in(text)
        return self._say(text, len(text) if end is None else end)

    def _decoded(self, start: int, end: int | None = None) -> str:
        return decode_words(self._heard[start:end], self._tokenizer)

    def _new(self, now: str) -> str:
        """Return what is said behind ``_whole``; where that was torn by what came, decoding begins behind it."""
        known = self._decoded(self._starts[0], self._settled).removesuffix(CUT_CHARACTER)
        if now.startswith(known):
            return now[len(known) :]
        self._starts = deque([self._settled])
        return self._decoded(self._settled)

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
    if _is_byte(piece):
        return bytes([int(piece[3:5], 16)])
    alphabet = _alphabet()
    if _speaks_bytes(tokenizer) and all(character in alphabet for character in piece):
        return bytes(alphabet[character] for character in piece)
    return piece.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _is_byte(piece: str) -> bool:
    """Tell whether a token is a byte of a SentencePiece tokenizer."""
    return len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")


@lru_cache(maxsize=8)
def _silent(tokenizer: PreTrainedTokenizerBase, _size: int) -> frozenset[int]:
    """Return the tokens that decoding leaves out. A tokenizer that has grown since is asked again."""
    special = [number for number, token in tokenizer.added_tokens_decoder.items() if token.special]
    return frozenset(number for number in special if not decode_words([number], tokenizer))


@lru_cache(maxsize=1)
def _alphabet() -> dict[str, int]:
    """Return which byte each character of a byte-level tokenizer stands for."""
    return {character: number for number, character in bytes_to_unicode().items()}


def _speaks_bytes(tokenizer: PreTrainedTokenizerBase) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = getattr(backend, "decoder", None)
    return decoder is not None and b"ByteLevel" in decoder.__getstate__()
