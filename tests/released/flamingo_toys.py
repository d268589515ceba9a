"""Toy tokenizers of the makers and tests of Flamingos and OtterHD: in the manner of Llama, GPT-NeoX (MPT) and Fuyu.

tokenizers and transformers are all it needs.
"""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

FLAMINGO_TOKENS = ("<|endofchunk|>", "<image>", "<answer>")
"""What Otter's network adds to its language model's tokenizer, in its order. OpenFlamingo adds the first two."""
PAD = "<PAD>"
PAIRS = ("U s", "e r", "Us er", "User :", "P T", "s w", "sw er", ": (", "? !", "i s", "t h", "th e")
"""Merges beside those of words with a space in front: a colon joins what stands behind it."""


def toy_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Return ``llama``: spaces are letters, one before each run of words; or ``neox``: bytes, no token of its own."""
    llama = kind == "llama"
    space = "\u2581" if llama else "\u0120"
    first = ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))) if llama else ("<|endoftext|>",)
    letters = [space, *map(chr, range(33, 127))] if llama else sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [tuple(pair.split()) for pair in PAIRS]
    merges += [(space, "G"), (space + "G", "PT"), (space, "is"), (space, "the"), (space, "a"), (space, "c")]
    words = (*first, *letters, *(left + right for left, right in merges))
    vocabulary = {word: number for number, word in enumerate(words)}
    if llama:
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(space), normalizers.Replace(" ", space)])
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace(space, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    else:
        tokenizer = Tokenizer(models.BPE(vocabulary, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    begin, end = ("<s>", "</s>") if llama else ("<|endoftext|>", "<|endoftext|>")
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in {begin, end}])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=begin, eos_token=end, clean_up_tokenization_spaces=False
    )


def fuyu_tokenizer() -> PreTrainedTokenizerFast:
    """Return pieces with scores in Fuyu's manner: its marks are pieces, a space before each run of words."""
    space = "\u2581"
    marks = [
        "<unk>",
        "<s>",
        "</s>",
        "|ENDOFTEXT|",
        "|SPEAKER|",
        "|NEWLINE|",
        *(f"<0x{byte:02X}>" for byte in range(256)),
    ]
    words = [space, *(space + word for word in ("User", "Assistant", "a", "the", "cat")), "User", "ing", "cat"]
    scored = [(mark, 0.0) for mark in marks] + [(word, -3.0) for word in words]
    tokenizer = Tokenizer(models.Unigram([*scored, *((chr(code), -6.0) for code in (10, *range(33, 127)))], 0, True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(space), normalizers.Replace(" ", space)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(space, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks[:4]])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="|ENDOFTEXT|", eos_token="|ENDOFTEXT|")
