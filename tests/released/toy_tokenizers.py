"""Toy tokenizers in the manner of Llama 2, Llama 3 and Fuyu, of given words. tokenizers is all it needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
LETTERS = tuple(map(chr, range(33, 127)))
LLAMA_3_CUTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def mark(tokenizer: Tokenizer, marks: Iterable[str]) -> None:
    """Add special tokens."""
    tokenizer.add_special_tokens([AddedToken(each, special=True, normalized=False) for each in marks])


def numbered(tokens: Iterable[str]) -> dict[str, int]:
    """Return a vocabulary in the order of its tokens."""
    return {token: number for number, token in enumerate(tokens)}


def llama_3(merges: Sequence[tuple[str, str]], marks: Iterable[str]) -> Tokenizer:
    """Return bytes and what merges make: Llama 3's cuts, its marks behind the words."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in merges)]
    tokenizer = Tokenizer(models.BPE(vocab=numbered(tokens), merges=list(merges)))
    cuts = pre_tokenizers.Split(Regex(LLAMA_3_CUTS), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cuts, level])
    tokenizer.decoder = decoders.ByteLevel()
    mark(tokenizer, marks)
    return tokenizer


def llama_2(tokens: Iterable[str], merges: Sequence[tuple[str, str]], marks: Iterable[str]) -> Tokenizer:
    """Return pieces with bytes for the rest: a space before each run of words."""
    vocabulary = numbered(tokens)
    bpe = models.BPE(vocab=vocabulary, merges=list(merges), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    return _spaced(Tokenizer(bpe), marks)


def fuyu(words: Iterable[str], letters: Iterable[str]) -> Tokenizer:
    """Return pieces with scores: Fuyu's marks are pieces, a space before each run of words."""
    marks = ["<unk>", "<s>", "</s>", "|ENDOFTEXT|", "|SPEAKER|", "|NEWLINE|", *BYTES]
    scored = [(each, 0.0) for each in marks] + [(word, -3.0) for word in dict.fromkeys(words)]
    return _spaced(Tokenizer(models.Unigram([*scored, *((each, -6.0) for each in letters)], 0, True)), marks[:4])


def _spaced(tokenizer: Tokenizer, marks: Iterable[str]) -> Tokenizer:
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    parts = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(parts)
    mark(tokenizer, marks)
    return tokenizer
