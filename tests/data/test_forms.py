"""Of a long conversation few forms are counted, and the one that is taken is the one that trying all would take."""

from __future__ import annotations

from random import Random

import pytest
from transformers import PreTrainedTokenizerFast

from triptych.core.records import Example, ImageRef, Part, Text, Turn
from triptych.data.format import Refused
from triptych.data.plan import budget as budget_file
from triptych.data.plan.budget import Budget, Fitted, fit
from triptych.data.plan.corpora import Corpora
from triptych.data.plan.costs import Cost, Fixed, Merged
from triptych.data.plan.reader import Read, Reader
from triptych.data.plan.rendering import Rendering
from triptych.data.template import find_template

SAID = ("What is it?", "So it is.", "See image {0}.", "Is image {0} like image {1}?", "The last image?", "{0} of {1}")


def long_talk(random: Random, pairs: int, *, plain: bool = False, video: str = "") -> Example:
    """Return a conversation of so many questions with replies, about images of many sizes, or frames of a video."""
    turns: list[Turn] = []
    for _ in range(pairs):
        parts: list[Part] = []
        if random.random() < 0.5:
            size = 56 * random.randint(1, 12), 56 * random.randint(1, 12)
            parts += [ImageRef("p.png", size=size, video=video)] * (random.randint(1, 4) if video else 1)
        asked = random.choice(SAID[: 2 if plain else 6]).format(random.randint(1, 9), random.randint(1, 99))
        turns.append(Turn("user", (*parts, Text(asked))))
        turns.append(Turn("assistant", (Text("very " * random.randint(0, 9) + "well"),)))
    return Example("long", tuple(turns), origin="here")


def reader_of(tokenizer: PreTrainedTokenizerFast, template: str, cost: Cost) -> Reader:
    mark = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(mark, int)
    return Reader(Corpora([]), Rendering(find_template(template), tokenizer, mark, cost))


@pytest.fixture(scope="module")
def reader(request: pytest.FixtureRequest) -> Reader:
    return reader_of(request.getfixturevalue("tokenizer"), "chatml", Merged())


def test_few_forms_of_a_long_conversation_are_counted(reader: Reader) -> None:
    counted: list[int] = []

    def count(example: Example) -> int | None:
        counted.append(len(example.turns))
        return reader._count_text(example)

    example, budget = long_talk(Random(1), 400, plain=True), Budget(example_tokens=300)
    found = fit(example, budget, cost=Merged(), count_text=count, keeps_words=True)
    assert isinstance(found, Fitted)
    assert 0 < len(found.example.turns) < 100
    assert len(counted) < 25


@pytest.mark.parametrize("seed", range(40))
def test_the_form_that_is_taken_is_the_one_that_trying_all_would_take(
    reader: Reader, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    example, cost = long_talk(random, random.randint(2, 30), plain=seed % 2 == 0), random.choice([Merged(), Fixed(9)])
    whole = reader._count_text(example)
    assert whole is not None
    for share in (0.2, 0.5, 0.9, 1.4):
        budget = Budget(example_tokens=int(whole * share), images_tokens=random.choice([None, 40, 400]))
        found: list[Fitted | Refused] = []
        for few in (0, 1000):
            monkeypatch.setattr(budget_file, "FEW_UNITS", few)
            fitted = fit(
                example,
                budget,
                cost=cost,
                count_text=reader._count_text,
                numbered=seed % 3 > 0,
                keeps_words=reader.rendering.keeps_words,
            )
            found.append(fitted)
        assert found[0] == found[1]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cost", [Fixed(7), Fixed(9, frame=2), Fixed(3, frame=1, joins=True)], ids=repr)
@pytest.mark.parametrize("template", ["chatml", "mantis_plain", "mantis_plain_clean"])
def test_it_is_so_with_captions_and_frames_too(
    tokenizer: PreTrainedTokenizerFast, template: str, cost: Cost, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, random = reader_of(tokenizer, template, cost), Random(seed)
    example = long_talk(random, 24, plain=True, video="a.mp4" if cost.frame is not None else "")
    for limit in (20, 40, 70, 120, 200):
        monkeypatch.setattr(reader, "budgets", (Budget(example_tokens=limit),))
        found: list[Read] = []
        for few in (0, 1000):
            monkeypatch.setattr(budget_file, "FEW_UNITS", few)
            monkeypatch.setattr(reader.corpora, "place", lambda _row: (0, 0))
            found.append(reader._read(0, example))
        assert found[0] == found[1]


def test_of_captions_every_form_is_tried(tokenizer: PreTrainedTokenizerFast) -> None:
    """The first reply alone is written, and so a form that leaves more out may have more words."""
    reader = reader_of(tokenizer, "mantis_plain", Fixed(7))
    turns: list[Turn] = []
    for number in range(25):
        shown = (ImageRef("p.png", size=(112, 112)),) if number < 2 else ()
        turns.append(Turn("user", (*shown, Text("What is it?"))))
        turns.append(Turn("assistant", (Text("word " * (3 if number in (1, 3) else 60) + "."),)))
    found = fit(
        Example("x", tuple(turns), origin="here"),
        Budget(example_tokens=60),
        cost=Fixed(7),
        count_text=reader._count_text,
        numbered=True,
        keeps_words=reader.rendering.keeps_words,
    )
    assert isinstance(found, Fitted)
    assert (found.outcome, len(found.example.turns)) == ("shortened", 48)


def test_a_form_that_cannot_be_rendered_is_passed_over(reader: Reader) -> None:
    example = long_talk(Random(1), 3, plain=True)
    silent = Example("x", example.turns[:1], origin="here")
    assert reader._count_text(silent) is None, "it has no reply"
    words: dict[int, int | None] = {6: 90, 4: None, 2: 10}

    def left(tokens: int) -> int | Refused:
        found = fit(
            example,
            Budget(example_tokens=tokens),
            cost=Fixed(0),
            count_text=lambda form: words[len(form.turns)],
            keeps_words=True,
        )
        return len(found.example.turns) if isinstance(found, Fitted) else found

    assert left(50) == 2
    words[2] = None
    refused = left(50)
    assert isinstance(refused, Refused)
    assert refused.reason == "over the token budget"
    words[6] = None
    assert left(50) == 6, "of the row as it is, rendering says what is wrong"
