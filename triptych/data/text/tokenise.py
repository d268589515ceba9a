"""Plain words -> token ids, exactly as the tokenizer writes them, and several times faster: words met before are kept.

Not about special tokens: none is read in here and none is added (``data/text/spelling.py`` writes a template's own).

Some tokenizers put a space before words: SentencePiece's do at the beginning of a text, and in the older way behind
each special token. Words that follow words get none: they are tokenised by a copy that puts none anywhere.

Byte-level tokenizers cut a text into words before they make tokens, and tokens never cross such a cut. Where the
tokenizer is one of those whose cuts are known (``_cuts_before_spaces``), a text is cut before each space that follows
no white space, every distinct word is tokenised once, and its ids are kept. All other tokenizers get whole texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KEPT_WORDS = 1 << 18
"""Distinct words kept for a tokenizer: about 60 MB. Beyond that all are forgotten and learnt anew."""

_QWEN_2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_KNOWN_PATTERNS = frozenset({_QWEN_2, _QWEN_2.replace(r"\p{N}|", r"\p{N}{1,3}|")})
"""How Qwen 2 and Llama 3 cut a text, besides GPT-2's way, which ``ByteLevel`` has built in. In all of them a space
that follows no white space begins a new word."""

_BEFORE_SPACE = re.compile(r"(?<=\S)(?= )")
_SPACE_AFTER_SPACE = re.compile(r"\s ")


class Run(NamedTuple):
    """Words between special tokens and images, and whether no space is put before them."""

    text: str
    bare: bool


class Tokeniser:
    """Turns words into ids with one tokenizer. State: the ids of words met before."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.keeps_words = _cuts_before_spaces(tokenizer)
        self._kept: dict[str, list[int]] = {}
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._spaces = set() if backend is None else _spaces_before(backend)
        self.begin = tokenizer.bos_token_id

    def run(self, text: str, *, first: bool, behind_words: bool) -> Run:
        """Return words as a run of a conversation.

        Args:
            text: the words.
            first: whether nothing stands before them.
            behind_words: whether other words stand right before them.
        """
        return Run(text, bool(self._spaces) and (behind_words or (not first and self._spaces == {"first"})))

    def ids_of(self, runs: Sequence[Run]) -> Mapping[Run, list[int]]:
        """Return the ids of each run."""
        whole, bare = ([run for run in runs if run.bare == bare] for bare in (False, True))
        found = dict(zip(whole, self.ids([run.text for run in whole]), strict=True))
        return found | dict(zip(bare, self.bare_ids([run.text for run in bare]), strict=True))

    def bare_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of texts that no space is put before."""
        if not self._spaces:
            return self.ids(texts)
        return _read(self._without_space, texts)

    @cached_property
    def _without_space(self) -> Tokenizer:
        backend = self._tokenizer.backend_tokenizer
        return with_components(backend, {name: without_space(state_of(getattr(backend, name))) for name in COMPONENTS})

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        if not self.keeps_words:
            return self._whole(texts)
        cut = self._learn(texts)
        kept = self._kept.__getitem__
        return [list(chain.from_iterable(map(kept, words))) for words in cut]

    def _learn(self, texts: Iterable[str]) -> list[list[str]]:
        """Return the texts as words, all of which are kept then."""
        cut = [_words(text) for text in texts]
        new = list(set(chain.from_iterable(cut)).difference(self._kept))
        if len(self._kept) + len(new) > KEPT_WORDS:
            self._kept.clear()
            new = list(set(chain.from_iterable(cut)))
        self._kept.update(zip(new, self._whole(new), strict=True))
        return cut

    def _whole(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, tokenised in full."""
        if not texts:
            return []
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None or backend.truncation or backend.padding:
            ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)[
                "input_ids"
            ]
            return ids
        return _read(backend, texts)


def _read(backend: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Return ids without the masks that nobody needs: ten times as fast for single words."""
    if not texts:
        return []
    reads_special, backend.encode_special_tokens = backend.encode_special_tokens, True
    try:
        return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
    finally:
        backend.encode_special_tokens = reads_special


COMPONENTS = ("normalizer", "pre_tokenizer")
"""The components of a tokenizer that may put a space before words."""


def without_space(state: Any) -> Any:
    """Return the state of a tokenizer's component without what puts a space before words, or takes it away again."""
    match state:
        case {"type": "Prepend"} | {"type": "Strip", "start": _}:
            return None
        case {"type": "Metaspace"}:
            return {**state, "prepend_scheme": "never"}
        case {"type": "ByteLevel"}:
            return {**state, "add_prefix_space": False}
        case {"type": "Sequence", **lists}:
            return {"type": "Sequence"} | {
                name: [kept for each in inner if (kept := without_space(each)) is not None]
                for name, inner in lists.items()
                if isinstance(inner, list)
            }
        case _:
            return state


def with_components(backend: Tokenizer, states: Mapping[str, Any]) -> Tokenizer:
    """Return a copy of a tokenizer with other components, which neither cuts off nor fills up."""
    return Tokenizer.from_str(json.dumps(json.loads(backend.to_str()) | {"truncation": None, "padding": None} | states))


def _spaces_before(backend: Tokenizer) -> set[str]:
    """Return where a tokenizer puts a space before words: ``first`` of a text, ``always`` behind special tokens too."""
    found: set[str] = set()
    waiting = [state_of(getattr(backend, name)) for name in COMPONENTS]
    while waiting:
        match waiting.pop():
            case {"type": "Prepend"} | {"type": "ByteLevel", "add_prefix_space": True}:
                found.add("always")
            case {"type": "Metaspace", "prepend_scheme": ("first" | "always") as scheme}:
                found.add(scheme)
            case {"type": "Sequence", **lists}:
                waiting += [each for inner in lists.values() if isinstance(inner, list) for each in inner]
    return found


def tokeniser_of(tokenizer: PreTrainedTokenizerBase) -> Tokeniser:
    """Return the tokenizer's Tokeniser, the same one each time, with the words it has met; a new one when it grew."""
    return _tokeniser(tokenizer, len(tokenizer))


@lru_cache(maxsize=8)
def _tokeniser(tokenizer: PreTrainedTokenizerBase, _size: int) -> Tokeniser:
    return Tokeniser(tokenizer)


def _words(text: str) -> list[str]:
    """Cut the text before each space that follows no white space; the words are the text again."""
    if "\0" in text or _SPACE_AFTER_SPACE.search(text):
        return _BEFORE_SPACE.split(text)
    return text.replace(" ", "\0 ").split("\0")  # the same, four times as fast


def _cuts_before_spaces(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Say whether it is known that no token of this tokenizer crosses a cut of ``_words``."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or getattr(backend.model, "dropout", None):
        return False
    for token in tokenizer.added_tokens_decoder.values():
        seen = not token.special  # special ones are not looked for in words
        if seen and (token.lstrip or token.rstrip or token.single_word or re.search(r"\s", token.content)):
            return False
    if state_of(backend.normalizer) not in (None, {"type": "NFC"}):
        return False
    return backend.pre_tokenizer is not None and _is_known(state_of(backend.pre_tokenizer))


def _is_known(state: dict[str, Any]) -> bool:
    """Say whether this pre-tokenizer cuts where ``_words`` does; its parts may cut further, and none puts space in."""
    parts = state["pretokenizers"] if state["type"] == "Sequence" else [state]
    return all(map(_is_harmless, parts)) and any(map(_cuts_words, parts))


def _is_harmless(part: dict[str, Any]) -> bool:
    match part["type"]:
        case "ByteLevel":
            return not part["add_prefix_space"]
        case "Split":
            return _cuts_words(part)
        case kind:
            return bool(kind == "Digits")


def _cuts_words(part: dict[str, Any]) -> bool:
    match part["type"]:
        case "ByteLevel":
            return bool(part.get("use_regex", True))
        case "Split":
            known = part["pattern"].get("Regex") in _KNOWN_PATTERNS
            return known and (part["behavior"], part["invert"]) == ("Isolated", False)
        case _:
            return False


def state_of(component: Any) -> Any:
    """Return a tokenizer's component as it stands in ``tokenizer.json``; None: it has none."""
    return None if component is None else json.loads(component.__getstate__())
