"""Demonstrations out of the other rows: which are chosen, which never are, and what the words then say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.talking import made, note, refused, said, talk
from tests.pictures import draw
from triptych.core.errors import ConfigError, DataError, NotFoundError
from triptych.core.records import Example, Text, Turn, images_of
from triptych.data.text.neighbours import BLOCK, file_vectors, picture_vectors, word_vectors
from triptych.data.transform import TransformPlan, apply

ROUNDS = [talk(f"[bus] Question {at}?", f"Reply {at}.", name=f"bus_{at}") for at in range(4)]
OTHERS = [
    talk("[a] What colour is the big bus?", "Red.", name="a"),
    talk("[b] What colour is the small bus?", "Blue.", name="b"),
    talk("[c] How many dogs play chess?", "Two.", name="c"),
    talk("[a] What colour is the big bus here?", "Red.", name="d"),
]


def shown(example: Example) -> list[str]:
    return [each.id for each in example.demonstrations]


def test_a_dialogue_shows_its_earlier_rounds_in_their_order() -> None:
    rows = made("in_context", *ROUNDS, *OTHERS, by="dialogue", k=2)
    assert [shown(row) for row in rows] == [[], ["bus_0"], ["bus_0", "bus_1"], ["bus_1", "bus_2"], [], [], [], []]
    assert note(rows[3]) == {"by": "dialogue", "ids": ["bus_1", "bus_2"]}


def test_the_last_image_of_a_demonstration_is_not_the_last_one_of_the_prompt() -> None:
    rows = [talk(f"[{name}1][{name}2] What is in the last image, {name}?", "That.", name=name) for name in "ab"]
    for row in made("in_context", *rows, by="random", k=1):
        (before,) = row.demonstrations
        assert "in the second image" in said(before)[0]
        assert "in the last image" in said(row)[0]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{"kind": "in_front"}], "[c][d]\nCompare image 3 and image 4. What is image 4?"),
        ([{"kind": "interleaved", "p_front": 1.0}], "[c][d]\nCompare image 3 and image 4. What is image 4?"),
        ([{"kind": "number_images", "after": ""}], "Compare Image 3: [c] and Image 4: [d]. What is image 4?"),
        (
            [{"kind": "number_images", "after": ""}, {"kind": "in_front"}],
            "[c][d]\nCompare Image 3 and Image 4. What is image 4?",
        ),
        ([{"kind": "in_front"}, {"kind": "interleaved"}], "Compare image 3 [c] and image 4 [d]. What is image 4?"),
    ],
)
def test_steps_behind_it_count_images_as_the_words_do(steps: list[dict[str, object]], expected: str) -> None:
    words = "Compare [{}] and [{}]. What is image 2?"
    rows = [talk(words.format(*"ab"), "Image 2 is.", name="x"), talk(words.format(*"cd"), "Image 2 is.", name="y")]
    for renumber, counted in ((True, expected), (False, expected.replace("3", "1").replace("4", "2"))):
        shown = TransformPlan.parse({"kind": "in_context", "by": "random", "k": 1, "renumber": renumber})
        _, row = apply([shown, *map(TransformPlan.parse, steps)], rows, seed=0)
        assert isinstance(row, Example)
        assert said(row)[0] == counted
        own = counted.replace("3", "1").replace("4", "2").replace("[c]", "[a]").replace("[d]", "[b]")
        (before,) = row.demonstrations
        assert "interleaved" in str(steps) or said(before)[0] == own


def test_labels_that_it_renumbered_stay_the_only_ones() -> None:
    words = "Image 1: [{}] Image 2: [{}] What is image 2?"
    rows = [talk(words.format(*"ab"), "Image 2 is.", name="x"), talk(words.format(*"cd"), "Image 2 is.", name="y")]
    _, row = made("in_context", *rows, by="random", k=1)
    assert made("number_images", row) == [row]
    (front,) = made("in_front", row)
    assert said(front) == ["[c][d]\nWhat is image 4?", "Image 4 is."]
    assert said(front.demonstrations[0]) == ["[a][b]\nWhat is image 2?", "Image 2 is."]


def test_ids_that_count_a_whole_file_make_no_dialogue_of_it() -> None:
    rows = [talk(f"[{name}] What?", "That.", name=f"vqa_{at}") for at, name in enumerate("abc")]
    assert [shown(row) for row in made("in_context", *rows, by="dialogue")] == [[], [], []]
    told = [talk(f"[{name}] What {name}?", "That.", name=f"vqa_{at}", talk=7) for at, name in enumerate("abc")]
    assert shown(made("in_context", *told, by="dialogue", group="talk")[2]) == ["vqa_0", "vqa_1"]


def test_a_clip_shows_other_questions_on_it_and_never_the_same_one() -> None:
    film = [talk(f"[film] {asked}", "Yes.", name=asked) for asked in ("Who?", "Where?", "who? ", "Why?")]
    for row in made("in_context", *film, *OTHERS, by="clip", k=3)[:4]:
        asked = [each.turns[0].parts[1] for each in (*row.demonstrations, row)]
        assert len({part.text.strip().lower() for part in asked if isinstance(part, Text)}) == len(asked) == 3


def test_the_nearest_question_is_shown_last_and_never_about_the_same_picture() -> None:
    rows = made("in_context", *OTHERS, by="text", k=2)
    assert shown(rows[0])[-1] == "b", "d is nearer, but about the same picture"
    assert "d" not in shown(rows[0])
    likeness = note(rows[0])["likeness"]
    assert isinstance(likeness, list)
    assert likeness == sorted(likeness)
    first = made("in_context", *OTHERS, by="text", k=2, order="nearest_first")[0]
    assert shown(first) == shown(rows[0])[::-1]


def test_texts_without_pictures_show_no_near_duplicate() -> None:
    rows = [
        talk(asked, "Four.", name=name)
        for name, asked in {"x": "Two and two?", "y": "two AND two", "z": "And two?"}.items()
    ]
    assert shown(made("in_context", *rows, by="text", k=2)[0]) == ["z"]


def test_the_nearest_picture_is_shown_but_no_copy_of_it(tmp_path: Path) -> None:
    colours = {"red": (200, 0, 0), "redder": (230, 40, 20), "blue": (0, 0, 220)}
    files = {name: draw(tmp_path / f"{name}.png", colour=colour) for name, colour in colours.items()}
    files["copy"] = draw(tmp_path / "copy.png", colour=colours["red"], size=(64, 48))
    rows = [
        Example(name, (Turn("user", (image, Text("What?"))), Turn("assistant", (Text(f"{name}."),))))
        for name, image in files.items()
    ]
    assert shown(made("in_context", *rows, by="image", k=1, most_like=0.9999)[0]) == ["redder"]


def test_embeddings_of_a_file_say_what_is_near(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1]], np.float32)
    np.savez(tmp_path / "vectors.npz", ids=np.array(["a", "b", "c"]), vectors=vectors)
    rows = made("in_context", *OTHERS, by="image", k=1, embeddings=str(tmp_path / "vectors.npz"), most_like=1.0)
    assert shown(rows[0]) == ["c"]
    assert shown(rows[3]) == [], "the file does not know it"


def test_random_ones_differ_by_seed_and_never_are_the_row_itself() -> None:
    rows = [talk(f"[p{at}] What is {at}?", f"{at}.", name=f"r{at}") for at in range(20)]
    one, other = (made("in_context", *rows, by="random", k=3, seed=seed) for seed in (0, 1))
    assert [shown(row) for row in one] != [shown(row) for row in other]
    for row in one:
        assert len(set(shown(row)) - {row.id}) == 3


def test_numbers_of_images_go_on_through_the_demonstrations() -> None:
    rows = [
        talk("[a][b] Is image 1 older than the second image?", "No, image 2 is.", name="one"),
        talk("[c][d] Is image 1 older than the first image?", "Image 1 is.", name="two"),
    ]
    (row, _) = made("in_context", *rows, by="text", k=1)
    assert said(row.demonstrations[0]) == said(rows[1])
    assert said(row) == ["[a][b] Is image 3 older than the fourth image?", "No, image 4 is."]
    assert len(images_of(row)) == 4
    kept = made("in_context", *rows, by="text", k=1, renumber=False)[0]
    assert said(kept) == said(rows[0])


def test_rows_whose_words_cannot_be_renumbered_neither_show_nor_are_shown() -> None:
    unclear = talk("[a][b] What is in the left image?", "A cat.", name="unclear")
    rows = made("in_context", unclear, *OTHERS, by="random", k=4)
    assert "left" in note(rows[0])
    assert all("unclear" not in shown(row) for row in rows)


def test_too_few_are_kept_or_refused_and_none_are_shown_twice_over() -> None:
    assert shown(made("in_context", OTHERS[0], by="random")[0]) == []
    assert refused("in_context", OTHERS[0], by="random", on_few="refuse").reason == "too few demonstrations"
    ready = made("in_context", *OTHERS, by="random", k=1)
    again = made("in_context", *ready, by="random", k=1)
    assert [shown(row) for row in again] == [shown(row) for row in ready]


def test_demonstrations_of_demonstrations_are_not_shown() -> None:
    ready = made("in_context", *OTHERS, by="random", k=1)
    fresh = talk("[z] What?", "That.", name="z")
    row = made("in_context", *ready, fresh, by="random", k=2)[-1]
    assert len(row.demonstrations) == 2
    assert all(each.demonstrations == () for each in row.demonstrations)


def test_settings_that_do_not_go_together_are_refused() -> None:
    for settings in ({}, {"by": "text", "group": "clip"}, {"by": "clip", "embeddings": "v.npz"}, {"by": "magic"}):
        with pytest.raises(ConfigError):
            TransformPlan.parse({"kind": "in_context", **settings})


def test_broken_embeddings_and_pictures_stop_with_a_reason(tmp_path: Path) -> None:
    plan = TransformPlan.parse({"kind": "in_context", "by": "image", "embeddings": str(tmp_path / "none.npz")})
    with pytest.raises(NotFoundError, match=r"none\.npz"):
        list(apply([plan], OTHERS, seed=0))
    (tmp_path / "none.npz").write_bytes(b"no")
    with pytest.raises(DataError, match="ids and vectors"):
        list(apply([plan], OTHERS, seed=0))
    np.savez(tmp_path / "none.npz", ids=np.array(["a"]), vectors=np.array([[np.nan]]))
    with pytest.raises(DataError, match="finite"):
        list(apply([plan], OTHERS, seed=0))
    with pytest.raises(ConfigError, match=r"/a\.png"):
        list(apply([TransformPlan.parse({"kind": "in_context", "by": "image"})], OTHERS, seed=0))


def test_neighbours_are_those_of_all_pairs_whatever_the_block(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(BLOCK + 60, 5)).astype(np.float32)
    ids = [str(at) for at in range(len(vectors))]
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = units @ units.T
    np.fill_diagonal(likeness, -1)
    np.savez(tmp_path / "v.npz", ids=np.array(ids), vectors=vectors)
    found = list(file_vectors(tmp_path / "v.npz", ids).nearest(4))
    for at in (0, 7, BLOCK - 1, BLOCK, BLOCK + 59):
        assert [other for other, _ in found[at]] == np.argsort(-likeness[at])[:4].tolist()


def test_rare_words_weigh_more_and_empty_texts_have_no_neighbours() -> None:
    texts = ["the red bus", "the bus", "the red wagon", "the the", ""]
    found = list(word_vectors(texts).nearest(10))
    assert [other for other, _ in found[0]] == [1, 2, 3]
    assert found[4] == []
    assert list(picture_vectors([]).nearest(3)) == []
