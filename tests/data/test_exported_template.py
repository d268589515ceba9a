"""The chat template in Jinja that folders carry: words of no letter are as nothing there, as they are to us."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.toys import as_messages, toy_images, toy_tokenizer
from triptych.core.records import Example, Part, Text, Turn
from triptych.data.template import find_template, template_names

A, B = toy_images(2)
SAID: dict[str, tuple[Part, ...]] = {
    "image first": (A, Text("Which?")),
    "words first": (Text("Which?"), A),
    "images side by side": (A, B, Text("Which?")),
    "images at the end": (Text("Which?"), A, B),
    "images among words": (Text("Is "), A, Text(" like "), B, Text("?")),
    "an image alone": (A,),
    "words alone": (Text("Which?"),),
}


@pytest.mark.parametrize("name", template_names())
@pytest.mark.parametrize("parts", SAID.values(), ids=list(SAID))
def test_empty_words_beside_an_image_change_nothing_in_the_exported_template(
    name: str, parts: tuple[Part, ...]
) -> None:
    template, tokenizer = find_template(name), toy_tokenizer()
    plain = Example("x", (Turn("user", parts), Turn("assistant", (Text("That."),))))
    spread = (Text(""), *(each for part in parts for each in (part, Text(""))))
    odd = replace(plain, turns=(Turn("user", spread), plain.turns[1]))
    ours, theirs = (
        tokenizer.apply_chat_template(as_messages(each), chat_template=template.jinja, tokenize=False)
        for each in (odd, plain)
    )
    assert ours == theirs
