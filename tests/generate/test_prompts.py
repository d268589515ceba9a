"""Prompt files: what a file says, what a hash stands for, and how slots are filled."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.errors import ConfigError, NotFoundError
from triptych.core.records import ImageRef, Text, text_of
from triptych.generate.few_shot import Proposal, Proposals, read_proposals, write_proposals
from triptych.generate.prompts import fill, load, names, parse
from triptych.generate.reply_pairs import read_pairs

OF_THE_PAPER = ("la_conversation", "la_detail", "la_reasoning", "sd", "cgd", "sn", "dc", "vst", "tvc", "e4d")
SMALL = (
    "# A test\n\n- skill: one, two\n- max tokens: 7\n\n## System\n\nBe brief.\n\n## Ask\n\nTell of {thing}: {thing}.\n"
)


@pytest.mark.parametrize("name", names())
def test_every_prompt_that_comes_along_can_be_loaded_and_filled(name: str) -> None:
    prompt = load(name)
    assert prompt.about
    assert len(prompt.hash) == 64
    question = fill(prompt, **dict.fromkeys(prompt.slots, "words"))
    assert question.turns[-1].role == "user"


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_an_example_in_a_prompt_is_laid_out_as_the_prompt_wants_replies(name: str) -> None:
    prompt = load(name)
    assert prompt.skills
    assert prompt.slots == ("annotation",)
    assert prompt.shots
    for _, reply in prompt.shots:
        found = read_pairs(reply)
        assert found.pairs
        assert not found.torn
    assert prompt.schema is not None
    assert len({question for question, _ in prompt.shots}) == len(prompt.shots), "an example stands there twice"


def test_what_a_file_says_is_in_the_prompt() -> None:
    prompt = parse(SMALL, name="small")
    assert (prompt.about, prompt.skills, prompt.max_tokens) == ("A test", ("one", "two"), 7)
    assert (prompt.system, prompt.ask, prompt.slots) == ("Be brief.", "Tell of {thing}: {thing}.", ("thing",))


@given(st.text(max_size=40))
def test_braces_in_a_value_are_text_and_fill_nothing(value: str) -> None:
    question = fill(parse(SMALL, name="small"), thing=value)
    assert text_of(question.turns[-1]) == f"Tell of {value}: {value}."


def test_an_image_stands_where_its_slot_stood() -> None:
    image = ImageRef("a.png")
    question = fill(parse(SMALL, name="small"), thing=image)
    assert question.turns[-1].parts == (Text("Tell of "), image, Text(": "), image, Text("."))


def test_a_hash_changes_with_any_word_and_with_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(SMALL)
    (tmp_path / "b.md").write_text(SMALL)
    (tmp_path / "c.md").write_text(SMALL.replace("brief", "long"))
    hashes = [load(str(tmp_path / f"{name}.md")).hash for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_accepted_examples_take_the_place_of_the_prompts_own_and_change_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "cold_start.yaml"
    accepted = Proposal(id="a", user="Seen: x", reply="Said: y", state="accepted")
    other = Proposal(id="b", user="no", reply="no", state="rejected")
    write_proposals(Proposals(prompt="sd", proposals=(accepted, other)), file)
    prompt = load(f"sd#examples={file}")
    assert prompt.shots == (("Seen: x", "Said: y"),)
    assert prompt.hash != load("sd").hash
    assert read_proposals(file).proposals == (accepted, other)
    write_proposals(Proposals(prompt="sd", proposals=(other,)), file)
    with pytest.raises(ConfigError, match="no example is accepted"):
        load(f"sd#examples={file}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no heading", "begins with no"),
        ("# A\n## System\nx\n", "no '## Ask'"),
        ("# A\n## Sytem\nx\n## Ask\ny\n", "line 2.*Did you mean 'System'"),
        ("# A\n- skil: x\n## Ask\ny\n", "no fact is called 'skil'"),
        ("# A\n## Example\n### User\nx\n## Ask\ny\n", "line 2: an example is"),
        ("# A\n## Ask\ny\n## Schema\n{oops\n", "not JSON"),
        ("# A\n- max tokens: many\n## Ask\ny\n", "max tokens is a number"),
    ],
)
def test_a_wrong_prompt_file_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse(text, name="mine")
    assert "\n" not in str(caught.value)


def test_headings_in_code_fences_and_small_ones_are_text() -> None:
    prompt = parse("# A\n## Ask\nDo:\n```\n## System\n```\n#### Small\n", name="mine")
    assert (prompt.system, prompt.ask) == ("", "Do:\n```\n## System\n```\n#### Small")


def test_a_missing_prompt_offers_the_nearest_and_a_slot_without_value_is_an_error() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'la_detail'"):
        load("la_detial")
    with pytest.raises(ConfigError, match=r"slot \{thing\} has no value"):
        fill(parse(SMALL, name="small"))
    with pytest.raises(ConfigError, match=r"no slot \{other\}"):
        fill(parse(SMALL, name="small"), thing="x", other="y")
