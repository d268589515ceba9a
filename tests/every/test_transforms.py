"""What every transform promises, tried on drawn conversations with every sample of every transform in the drawer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tests.pictures import draw
from tests.toys import NUMBERED, encode, toy_tokenizer
from triptych.core import plugins
from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef, images_of, videos_of
from triptych.data.disk.rows import check_turns
from triptych.data.format import Refused
from triptych.data.transform import NOTES, Transform, TransformPlan, apply, is_lazy, tidy

TRANSFORMS = {name: plugins.find("transform", name, expected=Transform) for name in plugins.names("transform")}
PLANS = {
    f"{name}-{number}": TransformPlan.parse({"kind": name, **sample})
    for name, transform in TRANSFORMS.items()
    for number, sample in enumerate(transform.samples)
}
EACH = {name: plan for name, plan in PLANS.items() if TRANSFORMS[plan.kind].each}
WHOLE = {name: plan for name, plan in PLANS.items() if TRANSFORMS[plan.kind].whole}
NUMBER_LIKE = re.compile(
    r"\d+(?:st|nd|rd|th)?|[a-z]|one|two|three|four|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last"
)
SAID = (
    *(
        "What is in the image?",
        "Is image 1 older than image 2?",
        "Compare the first and the last image.",
        "Describe it.",
    ),
    *(
        "a cat",
        "A brown dog runs.",
        "Image 2.",
        "yes",
        "the second image shows a bus",
        "Image A: ",
        "image 2: ",
        "then ",
    ),
)
modestly = partial(settings, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return toy_tokenizer()


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sequence[ImageRef], Sequence[VideoRef]]:
    folder = tmp_path_factory.mktemp("media")
    colours, sizes = ("red", "blue", "green", "white"), ((32, 24), (9, 40), (16, 16), (70, 11))
    images = [draw(folder / f"{k}.png", size=size, colour=colours[k]) for k, size in enumerate(sizes)]
    for k in range(7):
        draw(folder / "clip" / f"f_{k}.png", colour=(k, 0, 0))
    return images, [VideoRef(str(folder / "clip"))]


def test_every_transform_is_one_kind_and_has_samples() -> None:
    both = [name for name, each in TRANSFORMS.items() if (each.each is None) == (each.whole is None)]
    assert both == []
    assert [name for name, each in TRANSFORMS.items() if not each.samples or not each.about] == []


@pytest.mark.parametrize("name", sorted(PLANS))
def test_a_step_is_written_as_it_is_read(name: str) -> None:
    plan = PLANS[name]
    assert TransformPlan.parse(json.loads(json.dumps(plan.as_json()))) == plan


@pytest.mark.parametrize("name", sorted(PLANS))
def test_an_unknown_setting_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"step '{PLANS[name].kind}': colour: unknown key"):
        TransformPlan.parse({**PLANS[name].as_json(), "colour": 1})


@pytest.mark.parametrize("name", sorted(PLANS))
@modestly()
@given(data=st.data())
def test_every_row_comes_out_as_a_conversation_or_a_refusal(
    name: str,
    data: st.DataObject,
    media: tuple[Sequence[ImageRef], Sequence[VideoRef]],
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    rows = data.draw(_rows(*media))
    made = list(apply([PLANS[name]], rows, seed=0))
    told = Counter[str]()
    for row in made:
        if isinstance(row, Refused):
            told[_id_of(row)] += 1
            assert row.reason
            continue
        told.update(_parents(row))
        check_turns(row.turns)
        json.dumps(dict(row.facts))
        if not videos_of(row):
            slots = encode(row, NUMBERED, tokenizer, cost=lambda image: 2).slots
            assert len(slots) == len(images_of(row))
    assert told == Counter(row.id for row in rows)


@pytest.mark.parametrize("name", sorted(PLANS))
@modestly()
@given(data=st.data())
def test_what_is_promised_is_kept(
    name: str, data: st.DataObject, media: tuple[Sequence[ImageRef], Sequence[VideoRef]]
) -> None:
    kept = TRANSFORMS[PLANS[name].kind].keeps
    rows = {row.id: row for row in data.draw(_rows(*media))}
    for made in apply([PLANS[name]], list(rows.values()), seed=3):
        if isinstance(made, Refused):
            continue
        parents = [rows[parent] for parent in _parents(made)]
        if "images" in kept:
            own = [part for parent in parents for part in _own(parent) if isinstance(part, ImageRef)]
            there = Counter(part for part in _own(made) if isinstance(part, ImageRef))
            # A video's frames come on top.
            assert Counter(own) <= there if any(videos_of(parent) for parent in parents) else Counter(own) == there
        if "words" in kept:
            assert Counter(word for parent in parents for word in _words(parent)) <= Counter(_words(made))


@pytest.mark.parametrize("name", sorted(PLANS))
@modestly(max_examples=10)
@given(data=st.data(), seed=st.integers(0, 3))
def test_the_same_seed_gives_the_same_rows(
    name: str, data: st.DataObject, seed: int, media: tuple[Sequence[ImageRef], Sequence[VideoRef]]
) -> None:
    rows = data.draw(_rows(*media))
    assert list(apply([PLANS[name]], rows, seed=seed)) == list(apply([PLANS[name]], rows, seed=seed))


@pytest.mark.parametrize("name", sorted(EACH))
@modestly(max_examples=10)
@given(data=st.data())
def test_what_becomes_of_a_row_does_not_depend_on_the_others(
    name: str, data: st.DataObject, media: tuple[Sequence[ImageRef], Sequence[VideoRef]]
) -> None:
    rows = data.draw(_rows(*media))
    together = list(apply([PLANS[name]], rows, seed=5))
    alone = [made for row in rows for made in apply([PLANS[name]], [row], seed=5)]
    back = list(apply([PLANS[name]], rows[::-1], seed=5))[::-1]
    assert together == alone
    if is_lazy([PLANS[name]]):
        assert together == back
        assert len(together) == len(rows)


@pytest.mark.parametrize("name", sorted(set(WHOLE) - {"merge-1", "drop_repeats-0"}))
@modestly(max_examples=10)
@given(data=st.data())
def test_which_rows_meet_does_not_depend_on_the_order_they_are_read_in(
    name: str, data: st.DataObject, media: tuple[Sequence[ImageRef], Sequence[VideoRef]]
) -> None:
    rows = data.draw(_rows(*media))
    there = {_key(made): made for made in apply([PLANS[name]], rows, seed=5)}
    back = {_key(made): made for made in apply([PLANS[name]], rows[::-1], seed=5)}
    assert there == back


@pytest.mark.parametrize("name", sorted(PLANS))
def test_refusals_pass_through_and_no_rows_are_no_rows(name: str) -> None:
    refused = Refused("rows.jsonl: row 0", "bad row", "rows.jsonl: row 0: it is bad")
    assert list(apply([PLANS[name]], [refused], seed=0)) == [refused]
    assert list(apply([PLANS[name]], [], seed=0)) == []


def _rows(images: Sequence[ImageRef], videos: Sequence[VideoRef]) -> st.SearchStrategy[list[Example]]:
    """Draw a few conversations of many kinds: most about one image, as captions are."""
    text = st.sampled_from(SAID).map(Text)
    image = st.sampled_from(images)
    anything = st.lists(st.one_of(text, image, image), min_size=1, max_size=5).map(tuple)
    film = st.tuples(st.sampled_from(videos), text)
    caption = st.one_of(st.tuples(image, text), st.tuples(text, image), st.tuples(image))
    asked: st.SearchStrategy[tuple[Part, ...]] = st.one_of(anything, caption, caption, film)
    reply = st.tuples(text)
    rounds = st.lists(st.tuples(asked, reply), min_size=1, max_size=3)
    one_round = st.tuples(caption, reply).map(lambda pair: [pair])
    talks = st.lists(st.tuples(st.one_of(rounds, one_round), st.booleans(), st.booleans()), min_size=1, max_size=7)
    return talks.map(lambda drawn: [_talk(f"t_{at}", *each) for at, each in enumerate(drawn)])


def _talk(
    identity: str, rounds: Sequence[tuple[tuple[Part, ...], tuple[Part, ...]]], system: bool, temporal: bool
) -> Example:
    turns = [Turn("system", (Text("Be kind."),))] if system else []
    for asked, reply in rounds:
        turns += [Turn("user", asked), Turn("assistant", reply)]
    skills = ("temporal",) if temporal else ()
    return Example(identity, tuple(turns), origin=f"rows.jsonl: row {identity[2:]}", skills=skills)


def _parents(row: Example) -> list[str]:
    """Return the ids of the rows that became this one."""
    notes = row.facts.get(NOTES, [])
    assert isinstance(notes, list)
    found = [note["parents"] for note in notes if isinstance(note, dict) and "parents" in note]
    return [str(parent) for parent in found[0]] if found and isinstance(found[0], list) else [row.id]


def _id_of(refused: Refused) -> str:
    found = re.search(r"\(id '(.*?)'\)", refused.where)
    assert found
    return found[1]


def _key(row: Example | Refused) -> Json:
    return _id_of(row) if isinstance(row, Refused) else row.id


def _own(example: Example) -> tuple[Part, ...]:
    return tuple(part for turn in example.turns for part in turn.parts)


def _words(example: Example) -> list[str]:
    """Return the words that are said, but for numbers; an image parts two words."""
    texts = [part.text for turn in example.turns for part in tidy(turn.parts) if isinstance(part, Text)]
    said = [word for text in texts for word in re.findall(r"\w+", text.casefold())]
    return [word for word in said if not NUMBER_LIKE.fullmatch(word)]
