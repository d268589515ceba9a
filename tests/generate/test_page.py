"""The report of a run: what it counts and shows, that it stands alone, and what of it words from outside may do."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generate.runs import GATHERING, WONDERING, recipe, run
from tests.pictures import draw
from triptych.core.errors import NotFoundError, RunError
from triptych.core.records import Example, Text, Turn
from triptych.generate.item import Annotation, Item, View
from triptych.generate.page.cards import card_of, spread
from triptych.generate.page.counts import Drawn, count_run, language_of, median, rounds_of
from triptych.generate.page.page import REPORT, histogram, render_report, rows_of, write_report
from triptych.generate.page.verbs import is_able, verb_and_noun, verbs_of
from triptych.generate.page.wheel import draw_wheel

NASTY = "</pre><script>alert(1)</script>"


def test_the_page_tells_what_was_kept_refused_and_paid(tmp_path: Path) -> None:
    plan = recipe({"kind": WONDERING, "alike": 2}, {"kind": GATHERING}, count=10, price_in=1000.0, price_out=1000.0)
    outcome = run(plan, tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    found = count_run(tmp_path)
    assert (found.kept.items, found.kept.pairs) == (5, 5)
    assert found.refused.counts == {("03-gathering", "said before"): 5}
    assert found.finished
    for words in ("5 items, 5 pairs", "said before", "you said Tell me of 3.", "03-gathering", "Finished."):
        assert words in page
    each = outcome.usd / outcome.pairs
    assert f"${each:.3g}" in page
    assert "writer" in page
    assert "canned:tests.generate.saying.echo" in page


def test_the_page_stands_alone_and_words_are_words(tmp_path: Path) -> None:
    run(recipe({"kind": WONDERING, "words": NASTY}, {"kind": GATHERING}, count=3), tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_a_run_that_has_stopped_says_what_is_next_and_why(tmp_path: Path) -> None:
    outcome = run(recipe(count=20, budget={"tokens": 100}), tmp_path)
    assert outcome.stopped
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Not finished: 02-wondering is next" in page
    assert "the budget of 100 tokens is used up" in page


def test_a_reason_to_stop_is_not_told_when_a_later_start_ended_otherwise(tmp_path: Path) -> None:
    assert run(recipe(count=20, budget={"tokens": 100}), tmp_path).stopped
    with pytest.raises(RunError):
        run(recipe(count=20, model="http://127.0.0.1:9/v1#m", attempts=1), tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "the budget of 100 tokens" not in page
    assert "It stopped: http://127.0.0.1:9/v1" in page


def test_what_each_export_holds_is_told_where_a_later_one_refuses_items(tmp_path: Path) -> None:
    exports = [{"kind": "export", "to": to} for to in ("messages:train.jsonl", "mimicit:XX_instructions.json")]
    pair = {"kind": WONDERING, "words": "Tell"}
    outcome = run(recipe(pair, *exports, count=3), tmp_path)
    assert outcome.written == (
        ("messages:train.jsonl", 3),
        ("mimicit:XX_instructions.json", outcome.stages[-1].items_out),
    )
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "written to messages:train.jsonl <b>3 items" in page


def test_a_folder_without_a_run_or_a_finished_stage_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no run of triptych generate"):
        write_report(tmp_path)
    run(recipe(), tmp_path)
    for path in (tmp_path / "stages").glob("*.json"):
        path.unlink()
    with pytest.raises(NotFoundError, match="no stage is finished"):
        write_report(tmp_path)
    assert not (tmp_path / REPORT).exists()


def test_no_letter_ends_the_page(tmp_path: Path) -> None:
    run(recipe({"kind": WONDERING}, count=1), tmp_path)
    found = count_run(tmp_path)
    turns = (Turn("user", (Text("half a letter: \ud83d"),)), Turn("assistant", (Text("a whole one: 😀"),)))
    found.kept.samples.offer("half", Item("half", Annotation("half", ()), example=Example("half", turns)))
    page = render_report(found).encode()
    assert "half a letter: \ufffd".encode() in page
    assert "a whole one: 😀".encode() in page


def test_the_same_run_has_the_same_page(tmp_path: Path) -> None:
    run(recipe({"kind": WONDERING}, {"kind": GATHERING}, count=90), tmp_path)
    assert render_report(count_run(tmp_path)) == render_report(count_run(tmp_path))


def test_a_card_shows_every_image_at_its_place_or_says_why_not(tmp_path: Path) -> None:
    shown = draw(tmp_path / "red.png", size=(40, 30))
    gone = draw(tmp_path / "gone.png", size=(40, 30))
    Path(gone.source).unlink()
    turns = (
        Turn("user", (Text("Is "), shown, Text(" older than "), gone, Text("?"))),
        Turn("assistant", (Text("No."),)),
    )
    item = Item("a", Annotation("a", (View(shown), View(gone))), example=Example("a", turns, skills=("comparison",)))
    card = card_of(item)
    asked, answered = card.turns
    assert [piece.text or piece.number for piece in asked.pieces] == ["Is ", 1, " older than ", 2, "?"]
    assert asked.pieces[1].data.startswith("data:image/jpeg;base64,")
    assert "gone.png" in asked.pieces[3].problem
    assert answered.role == "assistant"
    assert card.chips == ("comparison",)


def test_samples_are_of_every_skill_and_a_language_is_as_it_was_said_or_found() -> None:
    items = [
        Item(str(k), Annotation(str(k), ()), example=Example(str(k), (), skills=("a",) if k else ("b",)))
        for k in range(9)
    ]
    assert {item.example.skills for item in spread(items, 2) if item.example} == {("a",), ("b",)}
    assert language_of(Item("x", Annotation("x", ()), facts={"languages": {"found": ["en", "", "en", "de"]}})) == "en"
    assert language_of(Item("x", Annotation("x", ()), facts={"language": "zh", "languages": {"found": ["en"]}})) == "zh"
    assert language_of(Item("x", Annotation("x", ()))) == "not told"


@given(st.dictionaries(st.integers(0, 3000), st.integers(1, 50), max_size=40))
def test_a_histogram_holds_everything_once_in_few_bars(counts: dict[int, int]) -> None:
    shown = histogram("words", "words", counts=counts)
    assert sum(row.count for row in shown.rows) == sum(counts.values())
    assert len(shown.rows) <= 12
    spelled = sorted(number for number, count in counts.items() for _ in range(count))
    assert shown.middle == median(counts) == (spelled[(len(spelled) - 1) // 2] if spelled else 0)


@given(st.lists(st.text(max_size=4), unique=True, max_size=40), st.integers(1, 9), st.randoms())
def test_what_is_drawn_does_not_depend_on_the_order(names: list[str], most: int, random: object) -> None:
    def draw_of(order: list[str]) -> list[str]:
        drawn: Drawn[str] = Drawn(most)
        for name in order:
            drawn.offer(name, name)
        return list(drawn)

    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert draw_of(names) == draw_of(shuffled)
    assert len(draw_of(names)) == min(most, len(names))


def test_rare_counts_are_put_together() -> None:
    rows = rows_of({f"s{number}": number + 1 for number in range(30)})
    assert len(rows) == 17
    assert rows[-1].name == "14 others"
    assert sum(row.count for row in rows) == sum(range(1, 31))


def test_a_round_is_a_question_and_its_answer() -> None:
    turns = (Turn("system", (Text("s"),)), Turn("user", (Text("a"),)), Turn("user", (Text("b"),)))
    assert list(rounds_of((*turns, Turn("assistant", (Text("c"),)), Turn("user", (Text("d"),))))) == [("a\nb", "c")]


def test_the_verb_is_the_first_full_one_and_the_noun_the_head_behind_it() -> None:
    tags = {
        "can": "VM0", "you": "PNP", "explain": "VVI", "the": "AT0", "dog": "NN1", "collar": "NN1", "is": "VBZ",
        "red": "AJ0", "wait": "VVB",
    }  # fmt: skip

    def pair(sentence: str) -> tuple[str, str] | None:
        return verb_and_noun([(word, word, tags[word]) for word in sentence.split()])

    assert pair("can you explain the dog collar") == ("explain", "collar")
    assert pair("is the collar red") == ("is", "collar")
    assert pair("wait") == ("wait", "")
    assert pair("the red dog") is None


@pytest.mark.skipif(not is_able(), reason="the tagger HanTa is not installed")
def test_questions_are_counted_by_what_they_ask_for() -> None:
    found = verbs_of(
        [
            "Image 1: Image 2: Describe the differences between the two images.",
            "Look here. Can you explain why the man is wearing a red hat?",
            "What is the colour of the dog?\n(A) red\n(B) blue",
            "Red.",
        ]
    )
    assert found.nouns == {"describe": {"difference": 1}, "explain": {"man": 1}, "be": {"colour": 1}}
    assert (found.texts, found.without) == (4, 1)


def test_the_wheel_has_an_arc_for_each_verb_and_noun_and_names_its_count() -> None:
    nouns = {"describe": Counter({"scene": 30, "dog": 10, "": 5}), NASTY: Counter({"hat": 15})}
    svg = str(draw_wheel(nouns, title="verbs"))
    assert svg.count("<path") == 5
    assert "<title>describe scene: 30</title>" in svg
    assert "<script" not in svg
    whole = str(draw_wheel({"be": Counter({"thing": 3})}, title="one"))
    assert "NaN" not in whole
    assert whole.count("<path") == 2


def test_counting_is_of_the_stage_that_was_last(tmp_path: Path) -> None:
    run(recipe({"kind": WONDERING}, {"kind": GATHERING}, count=4), tmp_path)
    assert [note.label for note in count_run(tmp_path).notes] == ["01-counting", "02-wondering", "03-gathering"]
