"""Replies that are not learnt, as tokens: the same ids, and a mask that lacks those replies and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tests.data.test_template_properties import conversations, every_template, every_tokenizer, some
from tests.toys import encode, talk, toy_images, toy_tokenizer, trained_text
from triptych.core.records import Example, Text, Turn
from triptych.data.format import Refused
from triptych.data.plan import rendering as plan
from triptych.data.plan.budget import Budget
from triptych.data.plan.corpora import Corpora, NeedsSizes
from triptych.data.plan.costs import Fixed
from triptych.data.plan.reader import Reader
from triptych.data.plan.rendering import ONLY_READ, Rendering
from triptych.data.plan.scoring import Scoring
from triptych.data.template import Encoded, Template, find_template

A, B, C = toy_images(3)


def replies_of(example: Example) -> list[int]:
    return [place for place, turn in enumerate(example.turns) if turn.role == "assistant"]


def without(example: Example, unlearnt: set[int]) -> Example:
    turns = (replace(turn, learnt=at not in unlearnt) for at, turn in enumerate(example.turns))
    return replace(example, turns=tuple(turns))


def spans_of(example: Example, template: Template, tokenizer: PreTrainedTokenizerBase) -> list[range]:
    """Return where each reply stands with its header and its stop: from the end of what was said before it."""
    spans = []
    whole = len(encode(example, template, tokenizer).ids)
    for place in replies_of(example):
        spoken, said = [replace(example, turns=example.turns[: place + more]) for more in (0, 1)]
        empty = replace(template, end="")
        start = len(encode(spoken, empty, tokenizer).ids)
        spans.append(range(start, min(whole, len(encode(said, empty, tokenizer).ids))))
    return spans


@every_template
@every_tokenizer
@given(data=st.data())
@some
def test_ids_are_the_same_and_the_mask_lacks_exactly_those_replies(
    tokenizer: PreTrainedTokenizerBase, template: Template, data: st.DataObject
) -> None:
    example = data.draw(conversations())
    if template.first_reply_only:
        example = replace(example, turns=example.turns[: replies_of(example)[0] + 1])
    replies = replies_of(example)
    unlearnt = data.draw(st.sets(st.sampled_from(replies)))
    plain, flagged = (encode(each, template, tokenizer) for each in (example, without(example, unlearnt)))
    assert (flagged.ids, flagged.slots) == (plain.ids, plain.slots)
    # What follows a stop belongs to no reply: a template that trains line ends everywhere trains that one too.
    after = encode_words(template.assistant.after, tokenizer)
    taken: set[int] = set()
    for place, span in zip(replies, spans_of(example, template, tokenizer), strict=True):
        if place in unlearnt:
            taken |= set(span[: len(span) - after] if after else span)
    lost = {at for at, (a, b) in enumerate(zip(plain.trained, flagged.trained, strict=True)) if a and not b}
    assert lost == {at for at in taken if plain.trained[at]}
    assert not any(b and not a for a, b in zip(plain.trained, flagged.trained, strict=True))


def encode_words(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    return len(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else 0


@every_template
@every_tokenizer
@given(data=st.data())
@some
def test_a_demonstration_with_replies_that_are_not_learnt_has_the_same_ids(
    tokenizer: PreTrainedTokenizerBase, template: Template, data: st.DataObject
) -> None:
    shown, example = data.draw(conversations()), data.draw(conversations())
    shown = replace(shown, turns=tuple(turn for turn in shown.turns if turn.role != "system"))
    plain = replace(example, demonstrations=(shown,))
    flagged = replace(example, demonstrations=(without(shown, set(replies_of(shown))),))
    for more in ({}, {"train_demonstrations": True}):
        before, after = (encode(each, template, tokenizer, **more) for each in (plain, flagged))
        assert before.ids == after.ids
        assert not any(b and not a for a, b in zip(before.trained, after.trained, strict=True))
    alone = replace(flagged, turns=())
    if not template.first_reply_only and "wrappers" not in template.also_trained:
        learnt = encode(
            alone, replace(template, also_trained=(), trained_tokens=()), tokenizer, train_demonstrations=True
        )
        assert not any(learnt.trained)


@pytest.mark.parametrize("name", ["chatml", "mantis_llama_3", "llava_qwen_1_5", "otter", "vicuna_v1"])
def test_only_the_learnt_reply_is_trained(name: str) -> None:
    special = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|endofchunk|>")
    tokenizer = toy_tokenizer(*special, "<answer>", "</s>", "<s>")
    template = find_template(name)
    example = talk(
        ("user", [A, "Cats?"]), ("assistant", "three chairs"), ("user", "Sure?"), ("assistant", "the tables")
    )
    both = trained_text(encode(example, template, tokenizer), tokenizer)
    last = trained_text(encode(without(example, {1}), template, tokenizer), tokenizer)
    assert "three chairs" in both
    assert "three chairs" not in last
    assert "the tables" in last


def rendering(**more: object) -> Rendering:
    tokenizer = toy_tokenizer()
    mark = tokenizer.convert_tokens_to_ids("<image>")
    assert isinstance(mark, int)
    return replace(Rendering(find_template("chatml"), tokenizer, mark, Fixed(4)), **more)  # type: ignore[arg-type]


TALK = talk(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))


def test_a_row_without_a_learnt_reply_is_refused_where_it_would_be_trained_and_only_there() -> None:
    unlearnt = without(TALK, {1, 3})
    found = plan.encode(unlearnt, rendering())
    assert isinstance(found, Refused)
    assert found.reason == ONLY_READ
    assert "none of its replies is learnt (`loss: false`)" in found.message
    assert isinstance(plan.encode(without(TALK, {3}), rendering()), Encoded)
    assert plan.tokens_of(unlearnt, rendering()).ids == plan.tokens_of(TALK, rendering()).ids
    asked, plain = (replace(each, turns=each.turns[:3]) for each in (unlearnt, TALK))
    assert plan.prompt_of(asked, rendering()).ids == plan.prompt_of(plain, rendering()).ids


def test_what_is_trained_beside_replies_makes_no_row_worth_learning() -> None:
    begun = replace(find_template("chatml"), begin="<|im_start|>", also_trained=("begin", "end"), end="<|im_end|>")
    found = plan.encode(without(TALK, {1, 3}), rendering(template=begun))
    assert isinstance(found, Refused)
    assert found.reason == ONLY_READ


def test_a_demonstration_counts_where_the_template_trains_it() -> None:
    example = replace(without(TALK, {1, 3}), demonstrations=(talk(("user", "e"), ("assistant", "f")),))
    shown_too = replace(find_template("chatml"), also_trained=("demonstrations",))
    assert isinstance(plan.encode(example, rendering()), Refused)
    assert isinstance(plan.encode(example, rendering(template=shown_too)), Encoded)


def test_a_score_is_learnt_whatever_its_replies_say() -> None:
    scored = rendering(scored=Scoring(targets=("quality",)))
    rows = [replace(each, labels=(("quality", 1.0),)) for each in (TALK, without(TALK, {1, 3}))]
    plain, flagged = (plan.encode(row, scored) for row in rows)
    assert isinstance(plain, Encoded)
    assert flagged == plain


class _Rows(Corpora):
    """One row in memory."""

    def __init__(self, row: Example) -> None:
        super().__init__(())
        self.row = row
        self.sources = ["rows"]  # type: ignore[assignment,list-item]

    def place(self, row: int) -> tuple[int, int]:
        return 0, row

    def example(self, row: int, asks: NeedsSizes) -> Example:
        return self.row


def test_the_budget_leaves_out_no_last_learnt_reply() -> None:
    long = Text("Which of these two pictures shows more cats? " * 4)
    turns = [Turn("user", (long,)), Turn("assistant", (Text("b"),))] * 3
    example = Example("x", tuple(turns), origin="rows.jsonl: row 0")
    room = len(plan.tokens_of(replace(example, turns=example.turns[2:]), rendering()).ids)
    budgets = [Budget(example_tokens=room)]
    shortened = Reader(_Rows(without(example, {1})), rendering(), budgets=budgets).read(0)
    assert isinstance(shortened.row, Encoded)
    assert shortened.act == "shortened"
    assert sum(shortened.row.trained) > 0
    refused = Reader(_Rows(without(example, {3, 5})), rendering(), budgets=budgets).read(0)
    assert isinstance(refused.row, Refused)
    assert refused.row.reason == "over the token budget"
