"""Translations: what must survive does, or the translation is refused; and what comes back must say the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generate import runs
from tests.generate.driving import Ran, asked, facts_of, settings_of
from triptych.core.errors import ConfigError
from triptych.core.plugins import find
from triptych.core.records import Answer, Example, ImageRef, Text, Turn
from triptych.data.transform import draw, tidy
from triptych.generate.item import Annotation, Item, Refusal
from triptych.generate.marked_text import likeness, marked, numbers_in, unmarked, what_was_lost
from triptych.generate.question import FACT, Question, as_json, question_of
from triptych.generate.stage import Made, Stage

A, B = ImageRef("a.png"), ImageRef("b.png")
QUESTION = Turn("user", (A, B, Text("Which of image 1 and image 2 shows 3 dogs? See COCO_0012.")))
REPLY = Turn("assistant", (Text("Image 2 shows 3 dogs, not 1,000."),))
ITEM = Item("x", Annotation("x", ()), Example("x", (QUESTION, REPLY)), facts={"language": "en"})
GERMAN = ["[[1]][[2]]Welches zeigt 3 Hunde, Bild 1 oder Bild 2? Siehe COCO_0012.", "Bild 2 zeigt 3 Hunde, nicht 1.000."]
TURNS = st.lists(st.one_of(st.just(A), st.just(B), st.text(alphabet="ab 12[].", max_size=6).map(Text)), max_size=6)


def step(items: list[Item], teacher: Callable[[Example], str], **said: object) -> Ran:
    stage, settings = find("stage", "translate", expected=Stage), settings_of("translate", said)
    assert stage.ask is not None
    assert stage.take is not None
    made: list[Made] = []
    for item in items:
        requests = stage.ask(item, settings, draw(item.id))
        made += stage.take(item, settings, [Answer(item.id, teacher(request.question)) for request in requests])
    return Ran(
        tuple(each for each in made if isinstance(each, Item)),
        tuple(each for each in made if isinstance(each, Refusal)),
    )


def saying(*texts: str) -> Callable[[Example], str]:
    return lambda _: json.dumps({"texts": texts}, ensure_ascii=False)


@given(TURNS.map(tidy))
def test_a_turn_without_marks_of_its_own_comes_back_from_its_marked_text(parts: tuple[object, ...]) -> None:
    turn = Turn("user", parts)  # type: ignore[arg-type]
    if all("[[" not in part.text for part in turn.parts if isinstance(part, Text)):
        assert unmarked(marked(turn), turn) == turn


def test_the_original_and_a_child_for_each_language_come_out() -> None:
    ran = step([ITEM], saying(*GERMAN), into=["de", "en"])
    original, german = ran.items
    assert original == ITEM
    assert (german.id, german.parents, german.facts["language"]) == ("x/de", ("x",), "de")
    assert german.example is not None
    assert german.example.id == "x/de"
    assert german.example.turns[0].parts[:2] == (A, B)
    assert german.example.facts["language"] == "de"


def test_the_teacher_sees_marks_and_both_languages() -> None:
    seen: list[str] = []

    def teacher(question: Example) -> str:
        seen.append(asked(question))
        return saying(*GERMAN)(question)

    step([ITEM], teacher, into=["de"])
    assert seen[0].startswith("From English to German:\n")
    assert "[[1]][[2]]Which of" in seen[0]


def test_an_image_may_move_within_its_sentence() -> None:
    mid = Turn("user", (Text("Compare "), A, Text(" with "), B, Text(".")))
    item = Item("y", Annotation("y", ()), Example("y", (mid, Turn("assistant", (Text("Alike."),)))))
    ran = step([item], saying("将 [[1]] 与 [[2]] 比较。", "相似。"), into=["zh"], original=False)
    assert ran.items[0].example is not None
    assert ran.items[0].example.turns[0].parts == (Text("将 "), A, Text(" 与 "), B, Text(" 比较。"))


@pytest.mark.parametrize(
    ("texts", "language", "reason"),
    [
        ([GERMAN[0].replace("[[2]]", ""), GERMAN[1]], "de", "image lost"),
        ([GERMAN[0] + "[[1]]", GERMAN[1]], "de", "image lost"),
        ([GERMAN[0].replace("[[1]][[2]]", "[[2]][[1]]"), GERMAN[1]], "de", "images reordered"),
        ([GERMAN[0].replace("3 Hunde", "drei Hunde"), GERMAN[1]], "de", "number lost"),
        ([GERMAN[0].replace("COCO_0012", "COCO-0012"), GERMAN[1]], "de", "mark lost"),
        ([GERMAN[0], " "], "de", "empty translation"),
        ([marked(QUESTION), GERMAN[1]], "de", "not translated"),
        (GERMAN, "zh", "wrong language"),
        (GERMAN, "ar", "wrong language"),
        (GERMAN[:1], "de", "turns lost"),
        ([], "de", "turns lost"),
    ],
)
def test_a_translation_that_lost_something_is_refused(texts: list[str], language: str, reason: str) -> None:
    ran = step([ITEM], saying(*texts), into=[language], original=False)
    assert [(refusal.reason, refusal.item.id) for refusal in ran.refusals] == [(reason, f"x/{language}")]


def conversation(*texts: str, name: str = "w") -> Item:
    turns = tuple(Turn("assistant" if at % 2 else "user", (Text(text),)) for at, text in enumerate(texts))
    return Item(name, Annotation(name, ()), Example(name, turns), facts={"language": "en"})


JACKET = conversation("What does the man in the red jacket do at the barn?", "He leads a brown horse out of it.")
SHORT = conversation("What is it?", "A laptop.")
SIGN = conversation("What does the sign say?", 'The sign says "Happy Birthday to you".')


@pytest.mark.parametrize(
    ("item", "language", "texts"),
    [
        (JACKET, "fr", ["What does the man wearing a red jacket do next to the barn?", "He takes a horse from it."]),
        (JACKET, "fr", ["¿Qué hace el hombre de la chaqueta roja junto al granero?", "Saca un caballo marrón de él."]),
        (JACKET, "fr", ["Que fait l'homme à la veste rouge près de la grange ?", "He leads a horse out of the barn."]),
        (JACKET, "de", ["Que fait l'homme à la veste rouge près de la grange ?", "Il en fait sortir un cheval brun."]),
        (conversation("What colour is it?", "It is dark red."), "es", ["Which colour has it?", "It's a dark red."]),
    ],
)  # fmt: skip
def test_a_translation_into_another_language_is_refused(item: Item, language: str, texts: list[str]) -> None:
    ran = step([item], saying(*texts), into=[language], original=False)
    assert [refusal.reason for refusal in ran.refusals] == ["wrong language"]


@pytest.mark.parametrize(
    ("item", "language", "texts"),
    [
        (
            JACKET,
            "de",
            ["Was macht der Mann mit der roten Jacke an der Scheune?", "Er führt ein braunes Pferd heraus."],
        ),
        (JACKET, "fr", ["Que fait l'homme à la veste rouge près de la grange ?", "Il en fait sortir un cheval brun."]),
        (JACKET, "es", ["¿Qué hace el hombre de la chaqueta roja en el granero?", "Saca de él un caballo marrón."]),
        (SHORT, "de", ["Was ist das?", "Ein Laptop."]),
        (SHORT, "fr", ["Qu'est-ce ?", "Un laptop."]),
        (SHORT, "es", ["¿Qué es?", "Un laptop."]),
        (SIGN, "de", ["Was steht auf dem Schild?", "Auf dem Schild steht „Happy Birthday to you“."]),
        (SIGN, "fr", ["Que dit le panneau ?", "Le panneau dit « Happy Birthday to you »."]),
        (SIGN, "es", ["¿Qué pone en el cartel?", "En el cartel pone «Happy Birthday to you»."]),
    ],
)
def test_a_true_translation_is_kept_however_short_and_with_what_it_quotes(
    item: Item, language: str, texts: list[str]
) -> None:
    ran = step([item], saying(*texts), into=[language], original=False)
    assert [refusal.message for refusal in ran.refusals] == []


TRUE = {
    "de": """Wie viele Hunde sind zu sehen?|Es sind drei Hunde.|Ein roter Bus hält an einer Straßenecke.|Links im Bild.
    Auf dem Tisch liegen eine Pizza und ein Messer.|Nein, die Katze schläft auf dem Sofa.|Ein Hotelzimmer mit Minibar.
    Er hält einen Tennisschläger in der linken Hand.|Das Restaurant heißt New York Steakhouse.|Blau und weiß gestreift.
    Pizza Margherita mit Basilikum und Mozzarella.|Computer, Monitor und Keyboard stehen auf dem Schreibtisch.""",
    "fr": """Combien de chiens voit-on ?|On voit trois chiens.|Un bus rouge s'arrête au coin de la rue.|À gauche.
    Sur la table se trouvent une pizza et un couteau.|Non, le chat dort sur le canapé.|Une chambre avec minibar.
    Il tient une raquette de tennis dans la main gauche.|Le restaurant s'appelle New York Steakhouse.|Rayé bleu.
    Pizza margherita au basilic et à la mozzarella.|Un ordinateur, un écran et un clavier sur le bureau.""",
    "es": """¿Cuántos perros se ven?|Se ven tres perros.|Un autobús rojo se detiene en la esquina.|A la izquierda.
    Sobre la mesa hay una pizza y un cuchillo.|No, el gato duerme en el sofá.|Una habitación con minibar.
    Sostiene una raqueta de tenis en la mano izquierda.|El restaurante se llama New York Steakhouse.|A rayas azules.
    Pizza margarita con albahaca y mozzarella.|Un ordenador, un monitor y un teclado en el escritorio.""",
}


@pytest.mark.parametrize("language", TRUE)
def test_no_sentence_alone_is_taken_for_another_language(language: str) -> None:
    sentences = [each.strip() for line in TRUE[language].splitlines() for each in line.split("|")]
    items = [conversation("¿?", name=str(number)) for number in range(len(sentences))]
    said = iter(sentences)
    ran = step(items, lambda _: saying(next(said))(ITEM.example or Example("", ())), into=[language], original=False)
    assert [refusal.message for refusal in ran.refusals] == []


@pytest.mark.parametrize(
    ("language", "text"),
    [("fr", "I cannot translate this."), ("de", "I'm sorry, but I can't help with that."),
     ("de", "Ich kann das leider nicht übersetzen."), ("fr", "Je ne peux pas traduire ce texte."),
     ("es", "Lo siento, no puedo traducir esto."), ("zh", "我无法翻译这段文字。"),
     ("ko", "죄송하지만 번역할 수 없습니다."), ("ja", "申し訳ありませんが、翻訳できません。"),
     ("ar", "لا أستطيع ترجمة هذا النص.")],
)  # fmt: skip
def test_who_will_not_translate_has_not_translated(language: str, text: str) -> None:
    ran = step([conversation("Which is it?", "This one.")], saying(text, text), into=[language], original=False)
    assert [refusal.reason for refusal in ran.refusals] == ["declines"]


def test_people_in_an_image_may_say_that_they_cannot_translate() -> None:
    before, after = "She says: I cannot translate this letter.", "Sie sagt: Ich kann diesen Brief nicht übersetzen."
    assert what_was_lost(before, after, language="de") is None


def test_what_is_known_of_a_question_in_its_old_words_does_not_follow_its_translation() -> None:
    item = conversation("Which?\n(A) cat\n(B) dog", "A")
    item = replace(item, facts={**item.facts, FACT: as_json(Question("Which?", "cat", options=("cat", "dog")))})
    assert item.example is not None
    item = replace(item, example=replace(item.example, facts={"options": ["cat", "dog"], "choice": True, "from": "us"}))
    (german,) = step([item], saying("Was?\n(A) Katze\n(B) Hund", "A"), into=["de"], original=False).items
    assert question_of(german) is None
    assert german.example is not None
    assert german.example.facts.keys() == {"from", "language", "translated_from"}


def test_a_run_with_translate_behind_relate_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    relate, translate = {"kind": "relate", "by": "images"}, {"kind": "translate", "into": ["de"]}
    with pytest.raises(ConfigError, match=r"^stages\.2: translate stands behind relate, .*: put it before relate$"):
        runs.run(runs.recipe(relate, translate), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    runs.recipe(translate, relate, {**translate, "back": True}).check_order()


def test_a_reply_that_is_no_list_of_texts_is_refused() -> None:
    assert [each.reason for each in step([ITEM], lambda _: "Gerne!", into=["de"]).refusals] == ["not JSON"]


@pytest.mark.parametrize(
    ("language", "text"),
    [("zh", "第2张图里有3只狗。"), ("ja", "画像2には犬が3匹います。"), ("ko", "이미지 2에 개가 3마리 있습니다."),
     ("ar", "الصورة ٢ فيها ٣ كلاب."), ("es", "La imagen 2 tiene 3 perros."), ("fr", "L'image 2 a 3 chiens.")],
)  # fmt: skip
def test_numbers_survive_in_the_digits_of_any_script(language: str, text: str) -> None:
    assert what_was_lost("Image 2 has 3 dogs.", text, language=language) is None


def test_thousands_are_one_number_however_they_are_marked() -> None:
    for text in ("1,000 and 0.5", "1.000 und 0,5", "1 000 et 0,5", "1'000 e 0.5", "١٬٠٠٠ و ٠٫٥"):
        assert numbers_in(text) == ["1000", "0.5"], text
    assert numbers_in("image 2 3 times") == ["2", "3"]


def test_a_round_trip_keeps_what_says_the_same_and_refuses_what_does_not() -> None:
    (german,) = step([ITEM], saying(*GERMAN), into=["de"], original=False).items
    same = ["[[1]][[2]]Which one shows 3 dogs, image 1 or image 2? See COCO_0012.", "Image 2 shows 3 dogs, not 1,000."]
    kept = step([ITEM, german], saying(*same), into=["de"], back=True)
    assert [item.id for item in kept.items] == ["x", "x/de"]
    assert float(str(facts_of(kept.items[1], "translate")["likeness"])) > 0.6
    other = step([german], saying("[[1]][[2]]How is the weather up there?", "Quite bad."), into=["de"], back=True)
    assert [refusal.reason for refusal in other.refusals] == ["round trip differs"]


@given(st.text(max_size=30), st.text(max_size=30))
def test_likeness_is_a_share_and_the_same_both_ways(one: str, other: str) -> None:
    assert 0 <= likeness(one, other) <= 1
    assert likeness(one, other) == likeness(other, one)
    assert likeness(one, one) == 1


def test_unknown_and_double_languages_are_refused() -> None:
    with pytest.raises(ConfigError, match="no language is called 'xx'"):
        settings_of("translate", {"into": ["xx"]})
    with pytest.raises(ConfigError, match="each language once"):
        settings_of("translate", {"into": ["de", "de"]})


def test_words_that_look_like_a_mark_are_not_translated() -> None:
    turns = (Turn("user", (Text("Is [[1]] an image?"),)), REPLY)
    ran = step([Item("z", Annotation("z", ()), Example("z", turns))], saying(*GERMAN), into=["de"])
    assert [refusal.reason for refusal in ran.refusals] == ["looks like a mark"]


def test_a_decimal_mark_that_was_lost_is_a_number_lost() -> None:
    for text in ("Es sind 35 Meter.", "Es sind 0,35 Meter."):
        lost = what_was_lost("It is 3.5 metres.", text, language="de")
        assert lost is not None
        assert lost[0] == "number lost"
    assert what_was_lost("It is 3.5 metres.", "Es sind 3,5 Meter.", language="de") is None


def test_demonstrations_are_not_dropped_in_silence() -> None:
    assert ITEM.example is not None
    related = replace(ITEM, example=replace(ITEM.example, demonstrations=(ITEM.example,)))
    ran = step([related], saying(*GERMAN), into=["de"])
    assert ([item.id for item in ran.items], [each.reason for each in ran.refusals]) == (["x"], ["has demonstrations"])
