"""Numbers beside images, prompts of tasks, repeats; steps one after the other, and what a step may say."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.data.talking import made, note, refused, said, talk
from triptych.core.config import Settings, dump_config, load_config
from triptych.core.errors import ConfigError
from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.data.transform import Steps, TransformPlan, apply, is_lazy


def steps(*plans: dict[str, object]) -> list[TransformPlan]:
    return [TransformPlan.parse(plan) for plan in plans]


def test_images_get_numbers_but_no_second_label() -> None:
    assert said(made("number_images", talk("[a][b]Which?", "That."))[0])[0] == "Image 1: [a]\nImage 2: [b]\nWhich?"
    labelled = talk("Image 1: [a] and [b] Which?", "That.")
    assert said(made("number_images", labelled)[0])[0] == "Image 1: [a] and Image 2: [b]\nWhich?"
    mantis = made("number_images", talk("Is [a] old?", "No.", "And [b]?", "Yes."), before="(image {k}: ", after=")")
    assert said(mantis[0]) == ["Is (image 1: [a]) old?", "No.", "And (image 2: [b])?", "Yes."]


def test_an_image_alone_gets_no_number_unless_it_is_asked_for() -> None:
    row = talk("[a]What?", "A cat.")
    assert made("number_images", row) == [row]
    assert said(made("number_images", row, alone=True)[0])[0] == "Image 1: [a]\nWhat?"


def test_numbers_start_again_in_each_conversation_or_run_through_the_prompt() -> None:
    rows = [talk("[a][b]Which?", "That.", name="one"), talk("[c][d]What?", "This.", name="two")]
    (row, _) = made("in_context", *rows, by="random", k=1)
    (own, _) = made("in_context", *rows, by="random", k=1, renumber=False)
    again = made("number_images", own)[0]
    assert said(again)[0] == "Image 1: [a]\nImage 2: [b]\nWhich?"
    assert said(again.demonstrations[0])[0] == "Image 1: [c]\nImage 2: [d]\nWhat?"
    through = made("number_images", row, count="prompt")[0]
    assert said(through)[0] == "Image 3: [a]\nImage 4: [b]\nWhich?"
    assert said(through.demonstrations[0])[0] == "Image 1: [c]\nImage 2: [d]\nWhat?"


def test_a_prompt_is_said_where_its_rule_fits() -> None:
    row = talk(
        "[a]What colour?", "Red.", "Describe it.", "It is a long red bus.", metadata={"question_type": "open-ended"}
    )
    short = {"longest_reply": 2, "suffix": ["\nAnswer with one word."]}
    (asked,) = made("task_prompt", row, rules=[short])
    assert said(asked)[::2] == ["[a]What colour?\nAnswer with one word.", "Describe it."]
    assert note(asked) == {"rules": [0]}
    typed = {"fact": "metadata.question_type", "values": ["open-ended"], "prefix": ["Look closely.\n"]}
    (asked,) = made("task_prompt", row, rules=[short, typed])
    assert said(asked)[::2] == ["[a]What colour?\nAnswer with one word.", "Look closely.\nDescribe it."]
    assert note(asked) == {"rules": [0, 1]}
    (first,) = made("task_prompt", row, rules=[typed], turns="first")
    assert said(first)[::2] == ["[a]Look closely.\nWhat colour?", "Describe it."]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("红色。", 2),
        ("有3只狗", 4),
        ("赤いバスです。", 6),
        ("빨간 버스입니다.", 2),
        ("It's 3.5 m.", 3),
        ("l'été", 1),
        ("حافلة حمراء", 2),
        ("bus 很红", 3),
        ("?", 1),
    ],
)
def test_a_short_reply_is_short_in_its_own_writing(reply: str, words: int) -> None:
    """A character of Chinese or Japanese counts as a word; other writing has blanks between its words."""
    row = talk("[a]What?", reply)
    (asked,) = made("task_prompt", row, rules=[{"longest_reply": words, "suffix": [" Be short."]}])
    assert said(asked)[0] == "[a]What? Be short."
    if words > 1:
        assert made("task_prompt", row, rules=[{"longest_reply": words - 1, "suffix": [" Be short."]}]) == [row]


def test_a_prompt_is_not_said_twice_and_rows_that_no_rule_fits_stay() -> None:
    rule = {"suffix": [" Be short."], "skill": "temporal"}
    row = talk("What? Be short.", "That.", skills=["temporal"])
    assert said(made("task_prompt", row, rules=[rule])[0]) == said(row)
    other = talk("What?", "That.", name="y")
    assert made("task_prompt", other, rules=[rule]) == [other]


def test_one_of_several_prompts_is_drawn() -> None:
    rows = [talk("What?", "That.", name=f"{at}") for at in range(60)]
    drawn = {said(row)[0] for row in made("task_prompt", *rows, rules=[{"suffix": [" A", " B", " C"]}])}
    assert drawn == {"What? A", "What? B", "What? C"}


def test_a_repeated_row_is_refused_and_names_the_first() -> None:
    first, again = talk("[a] What?", "A cat.", name="first"), talk("[a]  WHAT?", "a cat.", name="again")
    other = talk("[b] What?", "A cat.", name="other")
    found = refused("drop_repeats", first, again, other)
    assert found.reason == "repeated row"
    assert "'first'" in found.message
    assert "'again'" in found.where
    assert made("drop_repeats", first, again, rows=False) == [first, again]


def test_a_repeated_round_is_left_out_unless_a_new_image_came_between() -> None:
    row = talk("[a] What?", "A cat.", "Sure?", "Yes.", "sure?", "Yes.", "Sure?", "No.")
    (left,) = made("drop_repeats", row)
    assert said(left) == ["[a] What?", "A cat.", "Sure?", "Yes.", "Sure?", "No."]
    assert note(left) == {"rounds": 1}
    row = talk("[a] What?", "A cat.", "Sure?", "Yes.", "And [b]?", "A dog.", "Sure?", "Yes.")
    assert made("drop_repeats", row) == [row]


def test_steps_are_applied_in_order_and_each_notes_what_it_did() -> None:
    plans = steps({"kind": "interleaved", "p_front": 1.0}, {"kind": "number_images"})
    (row,) = apply(plans, [talk("Is [a] older than [b]?", "No.")], seed=0)
    assert isinstance(row, Example)
    assert said(row)[0] == "Image 1: [a]\nImage 2: [b]\n\nIs image 1 older than image 2?"
    assert row.facts["transforms"] == [{"kind": "interleaved", "layout": "in front"}]


def test_a_step_put_in_front_changes_no_draw_of_another_kind() -> None:
    rows = [talk("Is [a] older than [b]?", "No.", name=f"{at}") for at in range(30)]
    mixed = steps({"kind": "interleaved", "p_front": 0.5})
    more = steps({"kind": "task_prompt", "rules": [{"prefix": [""]}]}, {"kind": "interleaved", "p_front": 0.5})
    layouts = [[note(row) for row in apply(plans, rows, seed=0) if isinstance(row, Example)] for plans in (mixed, more)]
    assert layouts[0] == layouts[1]


def test_rows_in_any_order_and_one_by_one_become_the_same() -> None:
    rows = [talk("[a][b] What is in image 2?", "A dog.", name=f"{at}") for at in range(40)]
    plans = steps({"kind": "shuffle_images"}, {"kind": "interleaved", "p_front": 0.5})
    assert is_lazy(plans)
    expected = {row.id: row for row in apply(plans, rows, seed=9) if isinstance(row, Example)}
    random.Random(1).shuffle(rows)
    for row in rows:
        assert list(apply(plans, [row], seed=9)) == [expected[row.id]]


def test_only_steps_that_take_each_row_alone_are_lazy() -> None:
    assert is_lazy([])
    assert is_lazy(steps({"kind": "frames", "n": 2}, {"kind": "in_front"}))
    assert not is_lazy(steps({"kind": "in_front"}, {"kind": "merge"}))


def test_a_refusal_says_which_step_and_passes_the_next() -> None:
    plans = steps({"kind": "limit_images", "most": 1}, {"kind": "merge"})
    (row,) = apply(plans, [talk("[a][b] Which?", "That.")], seed=0)
    assert isinstance(row, Refused)
    assert row.message.startswith("rows.jsonl: row 0 (id 'x'): limit_images: 2 images")


def test_a_fact_of_the_notes_name_that_is_no_note_refuses_the_row() -> None:
    assert refused("interleaved", talk("[a] What?", "That.", transforms="mine")).reason == "bad row"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("in_front", "expected a step"),
        ({"settings": 1}, "expected a step"),
        ({"kind": "in_frnt"}, "Did you mean 'in_front'"),
        ({"kind": "in_front", "seperator": " "}, "Did you mean 'separator'"),
        ({"kind": "interleaved", "p_front": 2}, "less than or equal to 1"),
        ({"kind": "limit_images"}, "most: is missing"),
    ],
)
def test_a_wrong_step_says_what_is_wrong(step: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformPlan.parse(step)


def test_a_file_of_steps_is_read_and_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "steps.yaml"
    path.write_text("steps:\n  - {kind: interleaved, p_front: 0.5}\n  - {kind: merge, images: [2, 3]}\n")
    config = load_config(path, model=Steps)
    assert [plan.kind for plan in config.steps] == ["interleaved", "merge"]
    path.write_text(dump_config(config))
    assert load_config(path, model=Steps) == config
    path.write_text("steps:\n  - {kind: merge, imges: [2, 3]}\n")
    with pytest.raises(
        ConfigError, match=r"steps\.yaml: steps\.0: step 'merge': imges: unknown key\. Did you mean 'images'"
    ):
        load_config(path, model=Steps)


def test_steps_of_your_own_are_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from triptych.core.config import Settings\n"
        "from triptych.data.transform import Transform\n"
        "TRANSFORM = Transform(settings=Settings, about='mine', each=lambda row, settings, random: [row])\n"
    )
    (tmp_path / "kinds").mkdir()
    (tmp_path / "mine.py").rename(tmp_path / "kinds" / "mine.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    (plan,) = steps({"kind": "kinds.mine"})
    assert plan.settings == Settings()
    assert json.dumps(plan.as_json()) == '{"kind": "kinds.mine"}'
    row = talk("What?", "That.")
    assert list(apply([plan], [row], seed=0)) == [row]
