"""Frames of a video under a budget, for models that tell them from pictures and for those that do not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.test_budget import CHATML, NEXT, NUMBERS, SAID, TOKENIZER, budgets, chat, fitted, image, parts
from tests.toys import NUMBERED
from triptych.core.records import Example, ImageRef, images_of
from triptych.data.format import Refused
from triptych.data.plan.budget import Budget, Fitted, costs_of, fit
from triptych.data.plan.corpora import Corpora, NeedsSizes
from triptych.data.plan.costs import Fixed
from triptych.data.plan.costs_tiled import Tiles
from triptych.data.plan.reader import Reader
from triptych.data.plan.rendering import Rendering, tokens_of
from triptych.data.show import pieces_of as shown_of
from triptych.data.template import Encoded, Template
from triptych.data.text.parse import parse


class Single(Corpora):
    """One row, as it is."""

    def __init__(self, example: Example) -> None:
        """Take the row."""
        super().__init__(())
        self._example = example

    def place(self, row: int) -> tuple[int, int]:
        """Return where any row is."""
        return 0, 0

    def example(self, row: int, asks: NeedsSizes) -> Example:
        """Return the row."""
        return self._example


@st.composite
def films(draw: st.DrawFn) -> list[str | ImageRef]:
    name, frames = f"/films/{next(NUMBERS)}.mp4", draw(st.integers(1, 4))
    return [replace(image(64, 48), video=name) for _ in range(frames)]


filmed = st.builds(
    lambda said, shown: replace(
        chat(*((list(chain.from_iterable(parts)), reply) for parts, reply in said)),
        demonstrations=tuple(replace(chat((parts, "A dog.")), id="shown") for parts in shown),
    ),
    st.lists(
        st.tuples(
            st.lists(films() | parts.map(lambda said: [each for each in said if each != ""]), max_size=3),
            st.sampled_from(SAID[1:2]),
        ),
        min_size=1,
        max_size=4,
    ),
    st.lists(films(), max_size=2),
)


@settings(max_examples=200)
@given(example=filmed, budget=budgets, template=st.sampled_from([CHATML, NUMBERED]), told=st.booleans())
def test_a_budget_leaves_every_video_whole_with_its_end(
    example: Example, budget: Budget, template: Template, told: bool
) -> None:
    cost = replace(NEXT, frame=4, video_end=1) if told else NEXT
    mark = TOKENIZER.convert_tokens_to_ids("<image>")
    assert isinstance(mark, int)
    rendering = Rendering(template, TOKENIZER, mark, cost)
    short = replace(rendering, cost=Fixed(1, frame=1 if told else None))

    def count_text(shorter: Example) -> int:
        encoded = tokens_of(shorter, short)
        return len(encoded.ids) - len(encoded.slots)

    result = fit(example, budget, cost=cost, count_text=count_text, numbered=rendering.numbers_images)
    if isinstance(result, Refused):
        return
    made = tokens_of(result.example, rendering)
    spans = [slot.stop - slot.start for slot in made.slots]
    assert spans == [
        each.span(image.size or (0, 0))
        for each, image in zip(costs_of(result.example, cost), images_of(result.example), strict=True)
    ]
    assert len(made.ids) <= (len(made.ids) if budget.example_tokens is None else budget.example_tokens)
    assert sum(spans) <= (sum(spans) if budget.images_tokens is None else budget.images_tokens)
    assert max(spans, default=0) <= (max(spans, default=0) if budget.image_tokens is None else budget.image_tokens)
    lengths = Counter(each.video for each in images_of(example) if each.video)
    shown: dict[str, list[int]] = {}
    for slot, span in zip(made.slots, spans, strict=True):
        if slot.image.video:
            shown.setdefault(slot.image.video, []).append(span)
    for video, of_it in shown.items():
        assert len(of_it) == lengths[video]
        if told:
            assert of_it == [*[4] * (len(of_it) - 1), 5]


def test_frames_that_are_told_from_images_do_not_count_among_them() -> None:
    cost = replace(NEXT, frame=4, video_end=1)
    film = [replace(image(64, 48), video="/film.mp4") for _ in range(3)]
    example = chat(([image(192, 192), *film, "What?"], "A cat."))
    assert [each.span((192, 192)) for each in costs_of(example, cost)] == [NEXT.span((192, 192)), 4, 4, 5]
    assert [each.span((192, 192)) for each in costs_of(example, NEXT)] == [17] * 4
    result = fitted(example, Budget(images_tokens=13 + 40), cost=cost)
    assert isinstance(result, Fitted)
    sizes = [each.size for each in images_of(result.example)]
    assert sizes[1:] == [(64, 48)] * 3, "a smaller frame costs as much"
    assert (sizes[0] or (0, 0))[0] < 192
    assert isinstance(fitted(example, Budget(image_tokens=4), cost=cost), Refused)


def test_marks_between_frames_are_no_tokens_of_one_image() -> None:
    cost = Tiles(tile=(64, 64), tile_tokens=5, between=("</img>", "<img>"), between_tokens=2)
    example = chat(([*(replace(image(64, 48), video="/film.mp4") for _ in range(3)), "What?"], "A cat."))
    assert isinstance(fitted(example, Budget(image_tokens=5), cost=cost), Fitted)
    assert isinstance(fitted(example, Budget(image_tokens=4), cost=cost), Refused)
    assert isinstance(fitted(example, Budget(images_tokens=7 + 7 + 5), cost=cost), Fitted)
    assert isinstance(fitted(example, Budget(images_tokens=7 + 7 + 4), cost=cost), Refused)


def test_the_frames_of_a_video_have_one_number_and_one_frame_around_them() -> None:
    film = [replace(image(64, 48), video="/film.mp4") for _ in range(3)]
    example = chat((["See ", image(9, 9), *film, *film[:1], " and ", film[0], image(9, 9), "?"], "Yes."))
    mark = TOKENIZER.convert_tokens_to_ids("<image>")
    assert isinstance(mark, int)
    said = {}
    for cost in (Fixed(1), Fixed(1, frame=1)):
        made = tokens_of(example, Rendering(NUMBERED, TOKENIZER, mark, cost))
        said[cost.frame] = TOKENIZER.decode(list(made.ids))
        assert len(made.slots) == 7
    assert said[None].count("<image>") == said[1].count("<image>") == 7
    before, _, after = NUMBERED.image_before.partition("{k}")
    assert [f"{before}{number}{after}" in said[None] for number in range(1, 8)] == [True] * 7
    assert [number for number in range(1, 8) if f"{before}{number}{after}" in said[1]] == [1, 2, 6, 7]
    assert "<image>" * 4 in said[1]


@settings(max_examples=200)
@given(example=filmed, budget=budgets, template=st.sampled_from([CHATML, NUMBERED]))
def test_a_budget_counts_images_that_share_a_token_once(example: Example, budget: Budget, template: Template) -> None:
    mark = TOKENIZER.convert_tokens_to_ids("<image>")
    assert isinstance(mark, int)
    cost = Fixed(1, frame=1, joins=True)
    rendering = Rendering(template, TOKENIZER, mark, cost)

    def read(limits: Budget) -> Encoded | Refused:
        return Reader(Single(example), rendering, budgets=[limits]).read(0).row

    made = read(budget)
    if isinstance(made, Refused):
        return
    assert len(made.ids) <= (budget.example_tokens or len(made.ids))
    assert sum(slot.stop - slot.start for slot in made.slots) == made.ids.count(mark)
    if template is CHATML:
        assert made.ids.count(mark) <= (made.ids.count(mark) if budget.images_tokens is None else budget.images_tokens)
    whole = tokens_of(example, rendering)
    exact = read(Budget(example_tokens=len(whole.ids)))
    assert isinstance(exact, Encoded)
    assert exact.ids == whole.ids, "what fits is left as it is"
    if template is CHATML:  # which writes nothing between two images
        assert sum(each.span((1, 1)) for each in costs_of(example, cost)) == whole.ids.count(mark)


def test_images_with_nothing_between_them_share_the_first_ones_token_where_the_family_joins_them() -> None:
    film = [replace(image(64, 48), video="/film.mp4") for _ in range(3)]
    example = chat((["See ", image(9, 9), *film, " and ", image(9, 9), image(8, 8), "?"], "Yes."))
    mark = TOKENIZER.convert_tokens_to_ids("<image>")
    assert isinstance(mark, int)
    joined = Rendering(CHATML, TOKENIZER, mark, Fixed(1, frame=1, joins=True))
    made = tokens_of(example, joined)
    assert [slot.stop - slot.start for slot in made.slots] == [1, 0, 0, 0, 1, 0]
    assert [len(place.images) for place in made.places] == [4, 2]
    assert list(made.ids).count(mark) == 2
    assert parse(made, CHATML, tokenizer=TOKENIZER) == example.turns
    assert [each for each in shown_of(made, TOKENIZER) if isinstance(each, ImageRef)] == list(images_of(example))
    apart = tokens_of(example, Rendering(NUMBERED, TOKENIZER, mark, Fixed(1, frame=1, joins=True)))
    assert [slot.stop - slot.start for slot in apart.slots] == [1, 1, 0, 0, 1, 1], "words stand between them"
