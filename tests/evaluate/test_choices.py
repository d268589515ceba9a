"""The tables of cases that define which option a reply chooses, and what holds for any reply."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from triptych.evaluate.reading.choices import Choice, choose

OPTIONS = ("the dog", "the hot dog", "image 2", "neither")
PETS = ("the cat", "the dog", "the hot dog", "the owl")
IMAGES = ("the second image", "the third image")
POINTS = ("Point A", "Point B", "Point C", "Point D")
YES_NO = ("yes", "no")
SIDES = ("left", "right")
COUNTS = ("1", "2", "3", "4")
DEPTHS = ("A is closer", "B is closer")
TRUTHS = ("True", "False")
MAN = ("The man is sitting", "The man is sitting on a chair", "The man is standing", "None of the above")


@pytest.mark.parametrize(
    ("reply", "position"),
    [
        ("B", 1),
        ("b", 1),
        ("(b)", 1),
        ("B.", 1),
        ("B) the hot dog", 1),
        ("B: it is the hot dog, I think", 1),
        ("**B**", 1),
        ("Answer: C", 2),
        ("The correct answer is (C).", 2),
        ("Option D", 3),
        ("C\nbecause of the colours", 2),
        ("the dog", 0),
        ("dog", 0),
        ("hot dog", 1),
        ("a dog", 0),
        ("A dog", 0),
        ("A", 0),
        ("It is the second image, Image 2.", 2),
        ("I see a hot dog there", 1),
        ("I think that it is (C)", 2),
        ("so the answer is C", 2),
        ("Neither!", 3),
        ("not the dog but image 2", 2),
    ],
)
def test_a_choice_is_read_by_letter_or_by_words(reply: str, position: int) -> None:
    assert choose(OPTIONS, reply).option == position


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "...",
        "E",
        "(E) the horse",
        "The answer is (E).",
        "the cat",
        "the dog or image 2",
        "B) image 2",
        "(A) or (B)",
        "A, B",
        "A and B",
        "A\nB\nC\nD",
        "B\nC",
        "ABCD",
        "The answer is A or B",
        "The answer is either the dog or image 2.",
        "not the dog",
        "The answer is not A",
        "I don't think the answer is A.",
        "either",
        "I cannot see it",
        "I'm sorry, but I can't help with that.",
        "I, as an AI, cannot tell.",
        "doghouse",
    ],
)
def test_a_choice_of_nothing_or_of_two_things_is_unanswered(reply: str) -> None:
    assert choose(OPTIONS, reply).option is None


LISTED = "A. Image 1\nB. Image 2\nC. Image 3"
BESIDE = [f"B\n\n{LISTED}", f"{LISTED}\n\nB", f"{LISTED}\n(B)", f"B. Image 2\n{LISTED}", "(A) Image 1 (B) Image 2\nB"]
NO_CHOICE = [LISTED, f"{LISTED}\n{LISTED}", "B\nA\nB", f"A\n\n{LISTED}\n\nB", "A\nB\nC"]


def test_a_letter_beside_the_list_of_options_chooses_and_the_list_alone_does_not() -> None:
    images = ("Image 1", "Image 2", "Image 3")
    assert [choose(images, reply).option for reply in BESIDE] == [1] * len(BESIDE)
    assert [choose(images, reply).option for reply in NO_CHOICE] == [None] * len(NO_CHOICE)


RULES = [
    # marked: what programs are meant to read, the last one
    (PETS, "\\boxed{B}", 1, "marked"),
    (PETS, "So it is $\\boxed{\\textbf{(D)}}$.", 3, "marked"),
    (PETS, "\\boxed{(C) the hot dog}", 2, "marked"),
    (PETS, '{"answer": "B"}', 1, "marked"),
    (PETS, '```json\n{"answer": "B", "reason": "the dog is there, no cat"}\n```', 1, "marked"),
    (PETS, '{"reasoning": "Option A is wrong", "final_answer": "the owl"}', 3, "marked"),
    (PETS, "<think>A? The answer is A.</think><answer>C</answer>", 2, "marked"),
    (PETS, "<answer> the hot dog </answer>", 2, "marked"),
    # whole: an option and nothing else
    (PETS, "B the dog", 1, "whole"),
    (PETS, "the owl.", 3, "whole"),
    (PETS, "<think>The answer is A, or is it?</think>\n\nB", 1, "whole"),
    (PETS, "maybe the answer is A\n</think>\n\n**D**", 3, "whole"),
    (PETS, "Sure, B.", 1, "whole"),
    (PETS, "B<|im_end|>\n<|im_start|>user\nAnd now A?", 1, "whole"),
    (PETS, "B\nQuestion: Which one?\nAnswer: A", 1, "whole"),
    # statement: "the answer is", the last one
    (PETS, "**Answer:** B", 1, "whole"),
    (PETS, "It barks.\n\nFinal Answer: (B)", 1, "statement"),
    (PETS, "The correct option is B because the fur is short.", 1, "statement"),
    (PETS, "answer is d", 3, "whole"),
    (PETS, "The answer is: \n\n(C) the hot dog", 2, "statement"),
    (PETS, "The answer is A because of the fur", 0, "statement"),
    (PETS, "The answer is a cat", 0, "statement"),
    (PETS, "The answer is A. Wait, no. The answer is B.", 1, "statement"),
    (PETS, "Between A and B, I choose B", 1, "statement"),
    (PETS, "If it were a cat, the answer would be A. But the ears are long, so the answer is B.", 1, "statement"),
    # conclusion
    (PETS, "Therefore, B.", 1, "conclusion"),
    (PETS, "It barks.\nIt has four legs.\nB", 1, "conclusion"),
    (IMAGES, "The second is cubist. Therefore, the third image shares the style.", 1, "conclusion"),
    (IMAGES, "Based on these observations, the third image (B) shares the style.", 1, "conclusion"),
    # beginning
    (PETS, "B\n\nExplanation: The cat is not visible. Option A is wrong.", 1, "beginning"),
    (PETS, "B is correct", 1, "beginning"),
    (YES_NO, "No, there is no car.", 1, "beginning"),
    (YES_NO, "Yes.\n\nThe car is there.", 0, "beginning"),
    # declined
    (PETS, "It is impossible to tell whether it is the cat or the dog.", None, "declined"),
    (IMAGES, "Therefore, neither the second nor the third image shares the style.", None, "declined"),
    (IMAGES, "The second image is blue. Therefore, I cannot say which one it is.", None, "declined"),
    (IMAGES, "It is hard to tell. However, the third image seems to be the most similar.", 1, "conclusion"),
    # only one
    (PETS, "I see a hot dog there", 2, "only one"),
    (IMAGES, "Image 2 matches the style of image 1 better than image 3.", 0, "only one"),
    # claim
    (SIDES, "The camera moves to the right. This shows more of the left side, then of the right side.", 1, "claim"),
    # none
    (PETS, "There are a cat and a dog.", None, "none"),
    (PETS, "<think>The answer is A. Wait", None, "none"),
]


@pytest.mark.parametrize(("options", "reply", "position", "rule"), RULES)
def test_each_rule_decides_its_replies(options: tuple[str, ...], reply: str, position: int | None, rule: str) -> None:
    found = choose(options, reply)
    assert (found.option, found.rule) == (position, rule)


@pytest.mark.parametrize(
    ("options", "reply", "position"),
    [
        # a listing describes, and chooses none of what it lists
        (PETS, "A. the cat\nB. the dog\nC. the hot dog\nD. the owl", None),
        (PETS, "A. the cat\nB. the dog\nC. the hot dog\nD. the owl\n\nAnswer: C", 2),
        (PETS, "Option A: the cat sleeps.\nOption B: the dog is awake.\nOption C: no.\nTherefore, the answer is D.", 3),
        (IMAGES, "(A) The second image is cubist.\n(B) The third image is cubist too.", None),
        # a denial, or a comparison, speaks for the other
        (PETS, "It's not the cat, it's the dog.", 1),
        (PETS, "Rather than the cat, it is the dog.", 1),
        (PETS, "Unlike the cat, the dog has spots.", 1),
        (PETS, "It looks more like the owl than the cat.", 3),
        (PETS, "Option A is incorrect; option D is correct.", 3),
        (PETS, "Options A and C are wrong. Option D is right.", 3),
        (DEPTHS, "B is closer to the camera than A.", 1),
        (DEPTHS, "Point A is closer because it is lower than point B.", 0),
        (DEPTHS, "A is farther, so B is closer.", 1),
        (POINTS, "Point B is correct, not point A", 1),
        # an option's own words decline and deny nothing
        (MAN, "It's none of the above", 3),
        (("cannot be determined", "the left one"), "It cannot be determined.", 0),
        (("a red ball", "a blue ball", "both", "neither"), "Neither ball", 3),
        # options that contain each other
        (MAN, "I see that the man is sitting on a chair", 1),
        (MAN, "The man is sitting", 0),
        (("blue", "dark blue"), "It is blue", 0),
        (("the red car meets the blue car", "the blue car meets the red car"), "The blue car meets the red car", 1),
        # letters that are words, and words that are letters
        (PETS, "A cat", 0),
        (PETS, "A dog", 1),
        (PETS, "I think it is B", 1),
        (PETS, "A: the dog", 1),
        (("B", "C", "A", "D"), "A", 2),
        (("B", "C", "A", "D"), "(A)", 0),
        (("A dog", "A cat"), "a dog", 0),
        (POINTS, "It corresponds to B.", 1),
        (POINTS, "There are points labeled A, B, C, and D.", None),
        # other words for the same
        (("image 1", "image 2", "image 3"), "the second image", 1),
        (("image 1", "image 2", "image 3"), "The third one", 2),
        (IMAGES, "Image 3", 1),
        (("a red ball", "a blue ball"), "blue", 1),
        # numbers
        (COUNTS, "three", 2),
        (COUNTS, "There are three people in image 2.", 2),
        (COUNTS, "There are a total of 3 dogs: one brown, one white, one black.", 2),
        (COUNTS, "1. I see a cat\n2. I see a dog\nThere are 2 animals.", 1),
        (COUNTS, "13", None),
        (COUNTS, "2.5", None),
        (("0.5", "1.5", "-1.5"), "The answer is -1.5.", 2),
        (("10%", "20%"), "20%", 1),
        # symbols
        (("<", ">"), ">", 1),
        (("C++", "C#"), "C#", 1),
        (("$\\frac{1}{2}$", "$\\frac{1}{3}$"), "\\boxed{\\frac{1}{3}}", 1),
        # options that are not known: only letters tell
        (("", "", "", ""), "(D) 3", 3),
        (("", "", "", ""), "3", None),
        # yes and no
        (YES_NO, "There is no dog in the picture.", None),
        (YES_NO, "Yes, no doubt.", 0),
        (YES_NO, "yes and no", None),
        (YES_NO, "No idea", None),
        (YES_NO, "I see no car, so no.", 1),
        (SIDES, "from left to right", None),
        (SIDES, "The right answer is left.", 0),
    ],
)  # fmt: skip
def test_a_reply_is_read_as_a_careful_person_reads_it(
    options: tuple[str, ...], reply: str, position: int | None
) -> None:
    assert choose(options, reply).option == position


@pytest.mark.parametrize(
    ("options", "reply", "position"),
    [
        (PETS, "答案是B", 1),
        (PETS, "正确答案是B。", 1),
        (PETS, "正确答案为B选项", 1),
        (PETS, "不选A,选B", 1),
        (PETS, "無法判斷", None),
        (PETS, "答えはBです。", 1),
        (PETS, "正解はCです", 2),
        (PETS, "정답은 B입니다.", 1),
        (PETS, "La respuesta correcta es la opción C.", 2),
        (PETS, "La respuesta no es B", None),
        (PETS, "Die richtige Antwort lautet: C", 2),
        (PETS, "La bonne réponse est la C.", 2),
        (PETS, "A resposta correta é B.", 1),
        (PETS, "La risposta corretta è D", 3),
        (PETS, "Правильный ответ — C", 2),
        (PETS, "الإجابة الصحيحة هي: C", 2),
        (PETS, "सही उत्तर B है", 1),
        (PETS, "（B）the dog", 1),
        (("猫", "狗", "热狗"), "这是热狗。", 2),
        (("猫", "狗", "热狗"), "答案是狗", 1),
        (YES_NO, "はい", 0),
        (YES_NO, "不是", 1),
        (YES_NO, "Sí", 0),
        (YES_NO, "Nein, das Auto steht links.", 1),
        (YES_NO, "아니요", 1),
        (YES_NO, "نعم", 0),
        (SIDES, "左", 0),
        (SIDES, "右侧", 1),
        (SIDES, "nach links", 0),
        (SIDES, "à droite", 1),
        (SIDES, "왼쪽입니다", 0),
        (TRUTHS, "正确", 0),
        (TRUTHS, "falso", 1),
    ],
)
def test_plain_answers_are_read_in_other_languages(options: tuple[str, ...], reply: str, position: int | None) -> None:
    assert choose(options, reply).option == position


def test_a_letter_is_no_answer_where_the_question_showed_none() -> None:
    assert choose(PETS, "B", letters=False).option is None
    assert choose(PETS, "(B) it is", letters=False).option is None
    assert choose(PETS, "the dog", letters=False).option == 1


def test_a_reply_that_speaks_for_several_options_is_worth_a_look() -> None:
    assert choose(PETS, "The answer is B.").sure
    assert not choose(PETS, "The answer is A. Wait, no. The answer is B.").sure
    assert not choose(PETS, "There are a cat and a dog.").sure
    assert not choose(PETS, "(A) or (B)").sure
    assert choose(PETS, "I cannot tell.") == Choice(None, "declined")


WORDS = ["the red cup", "the cup", "a spoon", "yes", "image 3", "seven", "Point Q", "a green hat on a chair"]
POLITE = [
    "{}",
    "Sure! {}",
    "Certainly. {}",
    "{} I hope this helps!",
    "Of course! {}\nLet me know if you have any questions.",
    "{} Thank you!",
]
SAID = ["{}.", "The answer is {}.", "I would say it is {}.", "**{}**", "Answer: {}.", "It is {}."]


@given(st.permutations(WORDS), st.integers(0, 7), st.sampled_from(SAID), st.sampled_from(POLITE))
def test_every_option_is_recognised_by_its_words_however_politely(
    options: list[str], position: int, said: str, polite: str
) -> None:
    assert choose(options, polite.format(said.format(options[position]))).option == position


@given(st.permutations(WORDS), st.integers(0, 7), st.sampled_from(["{}", "({})", "{}.", "{})", "The answer is {}."]))
def test_every_option_is_recognised_by_its_letter(options: list[str], position: int, said: str) -> None:
    assert choose(options, said.format("ABCDEFGH"[position])).option == position


@given(st.lists(st.sampled_from([*WORDS, "not", "than", "is", "the answer is", ".", "\n", "because"]), max_size=8))
def test_the_order_of_options_changes_no_choice_that_is_made_in_words(parts: list[str]) -> None:
    reply = " ".join(parts)
    first, last = choose(WORDS, reply, letters=False), choose(WORDS[::-1], reply, letters=False)
    assume("\n" not in parts)  # A listing is told by its order.
    assert first.option == (None if last.option is None else len(WORDS) - 1 - last.option)


@given(st.text(max_size=60))
def test_a_reply_without_letters_and_words_of_the_options_chooses_none(text: str) -> None:
    assume(not set("abcd") & set(unicodedata.normalize("NFKC", text).casefold()))
    assert choose(("", "", "", ""), text).option is None


@given(st.text(max_size=80))
def test_any_text_is_read_the_same_twice(text: str) -> None:
    first = choose(OPTIONS, text)
    assert first.option in (None, 0, 1, 2, 3)
    assert choose(OPTIONS, text) == first


def test_a_long_reply_is_read_in_a_moment() -> None:
    reply = "The cat (A) is not the dog, which is closer than the owl, " * 400 + "so the answer is B."
    assert choose(PETS, reply).option == 1
