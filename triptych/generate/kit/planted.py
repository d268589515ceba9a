"""Planted faults: a good question made into a bad one of a known sort, so that it can be counted what the checks catch.

Not a check. Each fault is one that language models really make when they write such questions. Invariant: a planted
item says so in ``facts["planted"]``, with the name of its fault, which no check looks at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from triptych.data.text.naming import Namer
from triptych.data.text.references import find_references, spell
from triptych.generate.item import Item
from triptych.generate.kit.kinds import KINDS
from triptych.generate.kit.truth import Wording, ask_about
from triptych.generate.question import Layout, Question, question_of, with_question

FACT = "planted"
Plant = Callable[[Item, Question, Random], Question | None]
"""(item, its good question, random) -> the bad one; None: this fault cannot be planted there."""

KNOWN_ANYWAY = (
    ("How many legs does the spider in one of the images have?", "8", ("4", "6", "10")),
    ("Image 1 shows a clock. How many hours are there on the face of a clock?", "12", ("10", "24", "60")),
    ("Looking at the images, which is larger in real life, a mouse or an elephant?", "elephant", ("mouse",)),
    ("Judging by the images, what colour is a ripe banana?", "yellow", ("blue", "purple", "grey")),
    ("Which of these is a fruit: the strawberry in image 2, a hammer or a chair?", "strawberry", ("hammer", "chair")),
    ("From what you see in the images, how many wheels does a bicycle have?", "2", ("3", "4", "6")),
    ("Image 1 shows a cat and image 2 shows a dog. Which animal barks?", "dog", ("cat",)),
    ("Comparing the images, which season is the coldest?", "winter", ("summer", "spring", "autumn")),
)
"""Questions whose answer everybody knows: (text, answer, rivals)."""
DECLINED = (
    "As an AI language model, I cannot see the images.",
    "I'm sorry, but I am unable to view images 1 and 2.",
    "I cannot determine the answer without access to the pictures.",
    "Please provide the images so that I can answer.",
)
LEAKED = (
    "According to the caption, {answer}.",
    "The description mentions that it is {answer}.",
    "Based on the annotations, {answer}.",
    "{answer}, as the bounding boxes show.",
)
UNFILLED = (
    "What is {object} in image 1?",
    "How many [insert name] are there in the images?",
    "<image1> What is it?",
    "...",
)
FOREIGN = (
    "Wie viele Dinge sind auf dem zweiten Bild zu sehen, und welche Farbe hat der Hintergrund?",
    "Combien d'objets y a-t-il sur la deuxième image par rapport à la première image ?",
    "¿Cuántos objetos hay en la segunda imagen en comparación con la primera imagen?",
    "第二张图片里有多少个物体?和第一张图片相比有什么不同?",
    "2枚目の画像にはいくつの物がありますか。1枚目の画像と何が違いますか。",
    "두 번째 이미지에는 물건이 몇 개 있나요? 첫 번째 이미지와 무엇이 다른가요?",
    "كم عدد الأشياء في الصورة الثانية مقارنة بالصورة الأولى؟",
)
PERSONAL = (
    "Ask jane.doe@example.com about {text}",
    "Call +44 20 7946 0958 when you know: {text}",
    "The card 4111 1111 1111 1111 lies there. {text}",
    "His number is (555) 010-4477. {text}",
    "Account DE89 3704 0044 0532 0130 00 is on it. {text}",
    "Her social security number is 219-09-9999. {text}",
    "They live at 221 Baker Street. {text}",
    "The camera at 192.168.17.4 saw it. {text}",
)
AGAIN = (
    "Please tell me: {text}",
    "{text} Answer briefly.",
    "{lower}",
    "{text}!",
    "Now, {lower}",
    "{picture}",
    "Could you tell: {lower}",
    "{text} Give only the answer.",
    "Take a good look. {text}",
    "Look closely at the images. {text}",
    "Here is a question for you: {lower}",
    "{text} Explain your answer.",
    "Based on the images: {lower}",
)


def plant(item: Item, fault: str, *, random: Random, layout: Layout) -> Item | None:
    """Return a copy of an item with a fault in it; None: it cannot have this one.

    Args:
        item: with a good question of ``from_truth``.
        fault: one of ``FAULTS``.
        random: what is drawn follows from it.
        layout: of the conversation.
    """
    question = question_of(item)
    bad = FAULTS[fault](item, question, random) if question is not None else None
    if bad is None:
        return None
    child = replace(item, id=f"{item.id}~{fault}", parents=(*item.parents, item.id))
    made = with_question(child, bad, layout=layout)
    return replace(made, facts={**made.facts, FACT: fault})


def planted_in(item: Item) -> str | None:
    """Return the fault that was planted in an item, None in a good one."""
    fault = item.facts.get(FACT)
    return fault if isinstance(fault, str) else None


def _blind(item: Item, question: Question, random: Random) -> Question:
    text, answer, rivals = random.choice(KNOWN_ANYWAY)
    options = random.sample((answer, *rivals), len(rivals) + 1) if random.random() < 0.7 else ()
    needs = tuple(range(1, len(item.annotation.views) + 1))
    return Question(text, answer, tuple(options), needs, "reasoning", "written")


def _single(item: Item, question: Question, random: Random) -> Question | None:
    """Return a question about one image that says it needs all of them."""
    found = ask_about("in_one", item.annotation.views, random=random, form="question", wording=Wording(), whole=True)
    return None if found is None else replace(found, needs=tuple(range(1, len(item.annotation.views) + 1)))


def _swap(item: Item, question: Question, random: Random) -> Question | None:
    """Return a question whose answer the exchange of images leaves as it is, and that says otherwise."""
    if question.swap == "stays" and question.pair is not None and KINDS[question.kind].form != "image":
        return replace(question, swap="changes", swapped="")
    return None


def _wrong(item: Item, question: Question, random: Random) -> Question | None:
    """Return the question with a wrong answer of the same sort, its record wrong too."""
    details = {key: value for key, value in (question.details or {}).items() if key != "claimed"}
    form = KINDS[question.kind].form if question.kind in KINDS else "thing"
    if question.answer in ("yes", "no", "true", "false"):
        answer = {"yes": "no", "no": "yes", "true": "false", "false": "true"}[question.answer]
    elif question.options:
        answer = random.choice([option for option in question.options if option != question.answer])
    elif form == "number":
        answer = str(int(question.answer) + random.choice((1, 2)))
    elif form == "image" and len(question.needs) > 1:
        namer = Namer("ordinal" if details.get("style") == "ordinal" else "number")
        names = [namer.name(number) for number in question.needs]
        answer = random.choice([name for name in names if name != question.answer])
    else:
        names = sorted({thing.name for view in item.annotation.views for thing in view.things} - {question.answer})
        if not names:
            return None
        answer = random.choice(names)
    return replace(question, answer=answer, swap="unknown", pair=None, swapped="", details=None)


def _reference(item: Item, question: Question, random: Random) -> Question | None:
    """Return the question with a number of an image that is not there."""
    count = len(item.annotation.views)
    found = [each for each in find_references(question.text, count=count) if each.form in ("digits", "ordinal")]
    if not found:
        return replace(question, text=f"{question.text} Look at image {count + random.randint(1, 3)} too.")
    one = random.choice(found)
    said = spell(count + random.randint(1, 3), one.form)
    return replace(question, text=question.text[: one.start] + said + question.text[one.stop :], details=None)


def _declines(item: Item, question: Question, random: Random) -> Question:
    return replace(question, answer=random.choice(DECLINED), options=(), swap="unknown", details=None)


def _leaks(item: Item, question: Question, random: Random) -> Question:
    words = random.choice(LEAKED).replace("{answer}", question.answer)
    return replace(question, answer=words, options=(), swap="unknown", details=None)


def _unfilled(item: Item, question: Question, random: Random) -> Question:
    return replace(question, text=random.choice(UNFILLED), swap="unknown", details=None)


def _copies(item: Item, question: Question, random: Random) -> Question | None:
    answer = question.text.rstrip("?.") + "."
    return (
        replace(question, answer=answer, options=(), swap="unknown", details=None) if len(answer.split()) > 4 else None
    )


def _loops(item: Item, question: Question, random: Random) -> Question:
    answer = " ".join([f"there is the {question.answer} and"] * random.randint(6, 20))
    return replace(question, answer=answer, options=(), swap="unknown", details=None)


def _language(item: Item, question: Question, random: Random) -> Question:
    return replace(question, text=random.choice(FOREIGN), swap="unknown", details=None)


def _personal(item: Item, question: Question, random: Random) -> Question:
    text = random.choice(PERSONAL).replace("{text}", question.text)
    return replace(question, text=text)


def _again(item: Item, question: Question, random: Random) -> Question:
    lower = question.text[0].lower() + question.text[1:]
    picture = question.text.replace("image", "picture").replace("Image", "Picture")
    text = random.choice(AGAIN).replace("{text}", question.text).replace("{lower}", lower).replace("{picture}", picture)
    return replace(question, text=re.sub(r"\?!$", "?!", text))


FAULTS: Mapping[str, Plant] = {
    "blind": _blind,
    "single image": _single,
    "swap": _swap,
    "wrong answer": _wrong,
    "no such image": _reference,
    "declines": _declines,
    "leaks": _leaks,
    "unfilled": _unfilled,
    "copies": _copies,
    "loops": _loops,
    "language": _language,
    "personal": _personal,
    "repeat": _again,
}
"""Name -> what plants it."""
