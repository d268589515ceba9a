"""Conversations that are hard for tokenizers, as LLaVA's JSON has them; the makers' environments read them, too."""

from __future__ import annotations

from typing import Any

SAID: dict[str, list[str]] = {
    "among": [
        "Is the vase in <image> older than the one in <image>, or is <image> the oldest?",
        "The third one.\n\nIt is from 1450.",
    ],
    "beside": [
        "<image><image>\n<image> Which two match?",
        "1 and 3",
        "And <image>?",
        "No.",
        "Why <image><image>",
        "Hm",
    ],
    "languages": [
        "<image> 这张照片里有几只猫？請回答。",
        "三只，都在沙发上。",
        "ねこ<image>はどこ？ 고양이는 어디에 있나요?",
        "机の下です。상자 안에 있어요.",
        "أين القطة؟ बिल्ली कहाँ है? Где кошка?",
        "تحت الطاولة। मेज़ के नीचे। Под столом.",
    ],
    "pictographs": [
        "<image> \U0001f408\u200d\u2b1b or \U0001f415? \U0001f1e9\U0001f1ea<image>",
        "\U0001f408\U0001f3fd!!",
    ],
    "numbers": [
        "Add 3.14159, 1,000,000 and 0x1F600 to 12345678 of <image>: 2^10=1024? (a) ½ (b) 25% (c) -7",
        "1 + 2 = 3\n2. 1e-5\n3) 100000",
    ],
    "code": [
        "<image>\nWhat prints\n\n    def f(x):\n\t\treturn {'a': x[1:], \"b\": [i**2 for i in x]}  # ok\n\n\n?",
        "```python\nprint(f([1, 2]))\n```\nIt prints `{'a': [2], 'b': [1, 4]}`.",
    ],
    "spaces": [
        "<image>  two  spaces   three <image> \n line\u00a0end\u3000wide\t tab",
        "  It  is\n\n\n blank \t  here",
    ],
    "letters": [
        "Cafe\u0301 and caf\u00e9, \ufb01ne, <image> \u2460\u2161 na\u00efve \u200bZa\u017c\u00f3\u0142\u0107",
        "\u00c9l\u00e8ve o\u2019clock \u2014 \u201cquoted\u201d\u2026",
    ],
    "marks": [
        "Say [INST], <Image>, (image 2:, <im_start>, USER, <|image, <0x0A> and \u2581 of <image>",
        "<image, </ s> <<SYS and |ENDOFTEXT",
    ],
    "ends": [
        "What is in <image>",
        "...\n...?!\n",
        "So?\n",
        "'Tis what we'll've don't I'M",
        "Tell",
        "A.\nB:\n\nC;\r\nD",
    ],
    "letter": ["<image> A. red\nB. blue\nAnswer with the letter.", "B", "Sure?", "b", "<image>?", "1"],
    "links": [
        "See https://a.example/b?c=d&e=%20f#g_h or mail me.you+1@x.example <image>",
        "www.x.example/~y:80 @z #tag $5",
    ],
    "alone": ["Hello there", "Hi!", " How are you? ", " Fine,  thanks. "],
}
"""By name: what is said in turn, the user first. Each ``<image>`` is an image."""


def rows() -> list[dict[str, Any]]:
    """Return rows as LLaVA's data have them, each image of the same name."""
    made = []
    for name, said in SAID.items():
        turns = [{"from": ("human", "gpt")[at % 2], "value": text} for at, text in enumerate(said)]
        made.append({"id": name, "conversations": turns})
    return made


def scored(more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as VideoScore's training has them: each first question with an image more than it has marks; more."""
    asked = {name: (said[0], said[0].count("<image>") + 1) for name, said in SAID.items()}
    asked |= {row["id"]: (row["prompt"], len(row["images"])) for row in more}
    return [
        {"id": name, "images": ["one.png"] * images, "prompt": text, "labels": {"quality": 1.5}}
        for name, (text, images) in asked.items()
    ]


def chats() -> list[dict[str, Any]]:
    """Return rows as Mantis' data have them."""
    made = []
    for name, said in SAID.items():
        turns = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]
        images = ["one.png"] * sum(text.count("<image>") for text in said)
        made.append({"id": name, "images": images, "conversation": turns})
    return made
