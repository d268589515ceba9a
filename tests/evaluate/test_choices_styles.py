"""Replies in the manners of many models: thinking, boxes, eliminations, changes of mind, numbers, languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.evaluate.reading.choices import choose

PETS = ("the cat", "the dog", "the hot dog", "the owl")
POINTS = ("Point A", "Point B", "Point C", "Point D")
DEPTHS = ("A is closer", "B is closer")
IMAGES = ("the second image", "the third image")
FOUR_IMAGES = ("Image 1", "Image 2", "Image 3", "Image 4")
YES_NO = ("Yes", "No")
TRUTHS = ("True", "False")
COUNTS = ("1", "2", "3", "4")
LENGTHS = ("5 cm", "10 cm", "15 cm", "20 cm")
AIMS = ("To open the door", "To close the window", "To talk to the boy", "To sit down")
SPELT = ("X", "Y", "Z", "W")
TURNED = ("B", "C", "A", "D")


@pytest.mark.parametrize(
    ("options", "reply", "position"),
    [
        # channels, tags and boxes of reasoning models
        (PETS, "<|channel|>analysis<|message|>A...<|end|><|start|>assistant<|channel|>final<|message|>B", 1),
        (PETS, "<|channel|>analysis<|message|>The answer is A", None),
        (PETS, "<SUMMARY>..</SUMMARY><CAPTION>a cat</CAPTION><REASONING>?</REASONING><CONCLUSION>B</CONCLUSION>", 1),
        (PETS, "<unused94>thought\nThe answer is A<unused95>B", 1),
        (PETS, "<final>B</final>", 1),
        (PETS, "[Reasoning] The cat is small. [Answer] B", 1),
        (PETS, "\\boxed{A or B}", None),
        # a letter with what stands around it
        (PETS, "It's B.", 1),
        (PETS, "Probably B", 1),
        (PETS, "i think it's b", 1),
        (PETS, "i think a", None),
        (PETS, "1. B", 1),
        (PETS, "Q1: B", 1),
        (PETS, "A: B", 1),
        (PETS, "ASSISTANT: B", 1),
        (PETS, "B B B B", 1),
        (PETS, "B (confidence: 90%)", 1),
        (PETS, "So, B is the answer.", 1),
        (PETS, "B would be the best choice.", 1),
        (PETS, "B appears to be the correct option.", 1),
        (PETS, "Options A or B is correct", None),
        (PETS, "A and B are correct", None),
        (PETS, "A. the cat", 0),
        (PETS, "A. dog", None),
        (YES_NO, "A. No", None),
        (PETS, "The second option", 1),
        (PETS, "Option 2", 1),
        # options that are letters
        (SPELT, "The answer is Y.", 1),
        (SPELT, "B", 1),
        (TURNED, "The answer is B", 0),
        (TURNED, "The answer is (B)", 1),
        (YES_NO, "Y", 0),
        (TRUTHS, "F", 1),
        # elimination, listings that judge
        (PETS, "A, C and D can be eliminated, so B.", 1),
        (PETS, "A is wrong. C is wrong. D is wrong. So B must be right.", 1),
        (PETS, "A: No\nB: Yes\nC: No\nD: No", 1),
        (PETS, "A. the cat - incorrect\nB. the dog - correct\nC. the hot dog - incorrect", 1),
        (PETS, "A: Yes\nB: Yes\nC: No", None),
        (PETS, "There is no cat, no owl and no hot dog, only a dog.", 1),
        # denial and concession
        (PETS, "The answer can't be A. So it's B.", 1),
        (PETS, "The answer is not A but B.", 1),
        (PETS, "It looks like a cat, but it is actually a dog.", 1),
        (PETS, "Although it resembles a cat, this is a dog.", 1),
        (PETS, "Despite looking like a cat, this is a dog.", 1),
        (PETS, "It's neither a cat nor a dog, it's an owl.", 3),
        (PETS, "I'm unable to view images, but if I had to guess, B.", 1),
        (PETS, "I'm not sure but probably B", 1),
        (PETS, "A cat? No. A dog.", 1),
        (DEPTHS, "A is further away", None),
        (PETS, "If it barks, it is most likely B. If it purrs, it is most likely A. I cannot hear it.", None),
        # changes of mind
        (PETS, "The answer is A? No, B.", 1),
        (PETS, "The answer is A. Hmm, wait. Actually, B is correct.", 1),
        (PETS, "The answer is A.\n\nCorrection: B", 1),
        (PETS, "The answer is B. Wait for the next question.", 1),
        (PETS, "The answer is B. No, A does not fit.", 1),
        # names of options
        (POINTS, "B is closest", 1),
        (POINTS, "(A) Point B", None),
        (POINTS, "It is not possible to say which of A, B, C, or D corresponds.", None),
        (FOUR_IMAGES, "image1", 0),
        (FOUR_IMAGES, "the 2nd", 1),
        (IMAGES, "The second image is cubist, so the third", 1),
        (AIMS, "open the door", 0),
        (("a", "b", "None of these options"), "None of the above", 2),
        # numbers and units
        (COUNTS, "2.0", 1),
        (COUNTS, "02", 1),
        (COUNTS, "1 + 1 = 2", 1),
        (COUNTS, "1, 2, 3. So 3.", 2),
        (("12", "2", "22"), "twenty-two", None),
        (("0", "1"), "none", 0),
        (("1,000", "2,000"), "2000", 1),
        (("1000", "2000"), "2,000", 1),
        (LENGTHS, "10cm", 1),
        (LENGTHS, "10 centimeters", 1),
        (LENGTHS, "15 cm - 5 cm = 10 cm", 1),
        (LENGTHS, "100 cm", None),
        # yes, no, true and false in other words
        (YES_NO, "Correct", 0),
        (YES_NO, "Definitely not.", 1),
        (YES_NO, "Of course.", 0),
        (YES_NO, "I don't think so", 1),
        (TRUTHS, "Yes", 0),
        (TRUTHS, "It is not true", 1),
        (TRUTHS, "The statement is incorrect.", 1),
        (TRUTHS, "The statement is partially true.", None),
        (TRUTHS, "No, the statement is true.", 0),
        (("left", "right"), "You're right, it's left", 0),
        # languages
        (YES_NO, "不对", 1),
        (YES_NO, "Nie", 1),
        (YES_NO, "ไม่ใช่", 1),
        (YES_NO, "Ναι", 0),
        (YES_NO, "לא", 1),
        (PETS, "所以选项B是正确的", 1),
        (PETS, "選択肢Bが正しい", 1),
        (PETS, "Odpowiedź: B", 1),
        (PETS, "Svar: B", 1),
        (PETS, "Câu trả lời là B", 1),
    ],
)  # fmt: skip
def test_replies_of_other_models_are_read_as_a_careful_person_reads_them(
    options: tuple[str, ...], reply: str, position: int | None
) -> None:
    assert choose(options, reply).option == position


@pytest.mark.parametrize("marks", ["= ", "- ", "-\n", "(A) ", "no, wait. "])
def test_a_reply_that_repeats_itself_without_end_is_read(marks: str) -> None:
    # Read in time that grows with its length; with its square, this test would take a minute.
    assert choose(YES_NO, marks * 5000).option in (None, 0, 1)
    assert choose(PETS, marks * 5000 + "the owl").option in (None, 0, 3)


def test_a_change_of_mind_is_worth_a_look() -> None:
    assert not choose(PETS, "The answer is A. Wait, it is B.").sure


@pytest.mark.parametrize(
    "reply",
    [
        *("Answer: A & B", "Answer: A + B", "Answer: A;B", "Answer: A|C", "Answer: (A) | (C)", "answer: a & b"),
        *("Answer: A / B", "The answer is A & B because they bark."),
        *("The answer is AB.", "The answer is A B", "The answer is B A", "The answer is A & D.", "answer is a, b"),
        *("The correct answer is AC", "I would choose A + C", "The answer is A E", "<answer>B\nC</answer>"),
        *("\\boxed{AB}", "\\boxed{A B}", "\\boxed{A;B}", '{"answer": ["the cat", "B"]}', '{"answer": ["A: cat", "B"'),
        *('{"answer":["A","B"]}', '{"answer": [\n  "A",\n  "furry"\n]}', "{'answer': [B, C]}"),
    ],
)
def test_two_letters_are_no_answer_whatever_joins_them(reply: str) -> None:
    found = choose(PETS, reply)
    assert (found.option, found.sure) == (None, False)


@pytest.mark.parametrize(
    ("options", "reply", "position"),
    [
        (PETS, "The answer is A dog", 1),
        (PETS, "The answer is A Hot Dog.", 2),
        (PETS, "La bonne réponse est la C.", 2),
        (PETS, "A resposta é a B", 1),
        (PETS, "答案是选项b", 1),
        (PETS, "The answer is B; C is wrong.", 1),
        (PETS, "The answer is B I think", 1),
        (PETS, '{"answer": ["B"]}', 1),
        (PETS, '{"answer": ["B", "B"]}', 1),
        (("A", "B", "AB", "O"), "The answer is AB.", 2),
        (("[1, 2]", "[3, 4]"), '{"answer": [3, 4]}', 1),
    ],
)  # fmt: skip
def test_one_letter_and_articles_are_read_as_before(options: tuple[str, ...], reply: str, position: int) -> None:
    assert choose(options, reply).option == position


WRONG = [
    *("is wrong", "is incorrect", "is false", "is not correct", "isn't right", "is unlikely", "is out", "is excluded"),
    *("was wrong", "would be incorrect", "seems incorrect", "seems to be wrong", "appears false", "looks wrong"),
    *("can be ruled out", "can be excluded", "can safely be eliminated", "could be dismissed", "has been ruled out"),
    *("is ruled out", "was eliminated", "is clearly wrong", "cannot be right", "can't be it", "looks unlikely"),
    *("is the wrong answer", "is the incorrect one", "is the only wrong option", "is a wrong choice"),
]
NAMED = ["{}", "({})", "Option {}", "I think {}", "Therefore, {}", "Clearly, ({})", "Answer: {}"]


@given(st.sampled_from("ABCD"), st.sampled_from(WRONG), st.sampled_from(NAMED), st.sampled_from(["", ".", "!"]))
def test_a_letter_that_is_said_to_be_wrong_is_not_chosen(letter: str, wrong: str, named: str, end: str) -> None:
    assert choose(PETS, f"{named.format(letter)} {wrong}{end}").option is None
    assert choose(POINTS, f"{named.format(letter)} {wrong}{end}").option is None


@given(st.sampled_from(PETS), st.sampled_from(WRONG), st.sampled_from(["", "I think ", "Therefore, "]))
def test_words_that_are_said_to_be_wrong_are_not_chosen(option: str, wrong: str, lead: str) -> None:
    assert choose(PETS, f"{lead}{option} {wrong}.").option is None


@pytest.mark.parametrize(
    ("reply", "position"),
    [
        *((said, None) for said in ("The answer is unlikely to be B", "The answer is anything but B", "I exclude B.")),
        *((said, None) for said in ("B is ruled out, and so is A.", "B is wrong and so is A.", "B is wrong, as is A.")),
        *((said, None) for said in ("B is not right, nor is A.", "The wrong answer is B.")),
        ("The dog and the owl look wrong", None),
        ("The dog is wrong and so is the cat.", None),
        ("It is unlikely that the answer is B.", None),
        ("The answer is B as A can be ruled out.", 1),
        ("The answer is B and A is wrong.", 1),
        ("The answer is B and A can be ruled out.", 1),
        ("The answer is B since C looks wrong", 1),
        ("The wrong answer is A and the correct answer is B", 1),
        ("B is not only right but the best.", 1),
        ("A is ruled out, and so is C, so it is B.", 1),
        ("It is the dog and the cat looks wrong", 1),
        ("The cat and the dog look wrong, so it is the owl", 3),
    ],
)  # fmt: skip
def test_what_is_denied_in_other_words_is_not_spoken_for(reply: str, position: int | None) -> None:
    assert choose(PETS, reply).option == position


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ("Is the bridge longer than the road?\n(A) yes\n(B) no", None),
        ("(A) yes\n(B) no\nQuestion: Is it a bridge?", None),
        ("(A) yes: wrong\n(B) no: correct", 1),
        ("(A) yes\n(B) no\nAnswer: B", 1),
        ("长度是7，对应选项是（B）。", 1),
        ("所以答案选项为(A)", 0),
    ],
)
def test_the_options_yes_and_no_are_no_verdicts_in_their_own_list(reply: str, option: int | None) -> None:
    assert choose(("yes", "no"), reply).option == option


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ("It rains less. The cows do not have enough to eat.", 0),
        ("It rains less. There is not enough to eat for the cows.", 0),
        ("It rains less. The cows do not have enough food.", 0),
        ("It rains less, or more. I do not have enough to go on.", None),
    ],
)
def test_hunger_hides_no_answer(reply: str, option: int | None) -> None:
    assert choose(("rains less", "rains more", "snows"), reply).option == option


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ("C) can't be told. It depends on the wind, which cannot be told from it.", 2),
        ("B) falls is wrong", None),
    ],
)
def test_an_option_that_says_that_it_cannot_be_told_is_one(reply: str, option: int | None) -> None:
    assert choose(("rises", "falls", "can't be told"), reply).option == option


@pytest.mark.parametrize(
    ("options", "reply", "option"),
    [
        (("Yes", "No"), "A: Correct\nB: Incorrect", 0),
        (("Yes", "No"), "(A) Correct.\n(B) Incorrect.", 0),
        (("Yes", "No"), "A: Yes\nB: No", None),
        (("True", "False"), "A: right\nB: wrong", 0),
        (("True", "False"), "A: correct. B: incorrect.", 0),
        (("No", "Yes"), "(A) Incorrect\n(B) Correct", 1),
        (("Yes", "No", "Not sure"), "A: correct\nB: wrong\nC: wrong", 0),
        (("cat", "dog", "bird"), "A: cat, wrong\nB: dog, correct\nC: bird", 1),
        (("cat", "dog", "bird"), "If it is the left one, the answer is B. The other animal cannot be found in it.", 1),
        (("30°", "45°", "60°"), "The angle is represented by B. Its measure is 60°.", 2),
        (("red", "blue", "green"), 'The letter on it reads "B." The shirt is red.', 0),
        (("red", "blue", "green"), "没有对应选项是A", None),
        (("red", "blue", "green"), "没有答案选项是A", None),
    ],
)
def test_what_calls_options_right_or_names_other_things_is_read_as_it_was(
    options: tuple[str, ...], reply: str, option: int | None
) -> None:
    assert choose(options, reply).option == option
