"""Small stand-ins for tests: a tokenizer like SmolLM2's, a template that numbers images, images that nobody opens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from triptych.core.records import Example, ImageRef, Part, Role, Text, Turn, VideoRef
from triptych.data.template import Around, Encoded, Template, render

Said = str | ImageRef | VideoRef

SPECIAL = ("<|im_start|>", "<|im_end|>", "<image>")

SENTENCES = (
    "system\nuser\nassistant\nYou are a helpful assistant that looks at pictures.",
    "Which of these two pictures shows more cats, the first or the second? The second one does.",
    "What is between (image 1: and (image 2: in the frames? A chair stands between the tables.",
    "USER: How many apples are there in all images together? ASSISTANT: There are three apples.",
)


def toy_tokenizer(*more: str) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE of about 400 tokens in SmolLM2's manner; the same one each time.

    Args:
        more: special tokens that it holds besides ``SPECIAL``.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=400,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        additional_special_tokens=["<image>", *more],
    )


def toy_images(count: int) -> tuple[ImageRef, ...]:
    """Return references to ``count`` different pictures that are not there."""
    return tuple(ImageRef(source=f"/pictures/{number}.png", size=(32, 32)) for number in range(count))


NUMBERED = Template(
    name="numbered",
    system=Around("", "<|im_end|>"),
    user=Around("USER: ", "<|im_end|>"),
    assistant=Around("ASSISTANT:", ""),
    stop="<|im_end|>",
    lead=" ",
    begin="<|im_start|>",
    default_system='A chat between {k} curious humans and "an assistant".',
    image_before="(image {k}: <Image>",
    image_after="</Image>)",
)
"""Mantis's way (mllava_v1): numbered images, a default system line, roles in plain text."""


def encode(
    example: Example,
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    *,
    cost: Callable[[ImageRef], int] = lambda image: 1 + int(Path(image.source).stem) % 3,
    **options: bool,
) -> Encoded:
    mark = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(mark, int)
    return render(
        example,
        template,
        tokenizer=tokenizer,
        image_token_id=mark,
        image_ids=lambda image: [mark] * cost(image),
        **options,
    )


def talk(*turns: tuple[Role, Said | list[Said]]) -> Example:
    return Example("talk", tuple(Turn(role, parts_of(said)) for role, said in turns))


def parts_of(said: Said | list[Said]) -> tuple[Part, ...]:
    return tuple(Text(part) if isinstance(part, str) else part for part in (said if isinstance(said, list) else [said]))


def trained_text(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> str:
    ids = [number for number, learnt in zip(encoded.ids, encoded.trained, strict=True) if learnt]
    return text_of(ids, tokenizer)


def text_of(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what ids say, special tokens spelled out."""
    text = tokenizer.decode(list(ids), skip_special_tokens=False)
    assert isinstance(text, str)
    return text


def as_messages(example: Example) -> list[dict[str, Any]]:
    """Hugging Face's form; a turn of one Text as a string, others as a list of parts."""

    def content(turn: Turn) -> object:
        if len(turn.parts) == 1 and isinstance(only := turn.parts[0], Text):
            return only.text
        return [
            {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"} for part in turn.parts
        ]

    return [{"role": turn.role, "content": content(turn)} for turn in example.turns]


def through_jinja(example: Example, template: Template, tokenizer: PreTrainedTokenizerBase, *, ask: bool) -> list[int]:
    """Return the ids of ``template.jinja``'s string, each image as one token."""
    text = tokenizer.apply_chat_template(
        as_messages(example), chat_template=template.jinja, tokenize=False, add_generation_prompt=ask
    )
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
