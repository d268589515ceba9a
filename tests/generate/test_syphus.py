"""The paper's recipes: sample annotations, a canned teacher, and every stage up to the files that are written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.generate.driving import Ran, asked, draw_all, facts_of, run
from tests.generate.test_annotations import SAMPLES, frames
from triptych.core.records import Example, ImageRef, Text, VideoRef, images_of, text_of
from triptych.data.format import load_examples
from triptych.generate.item import Item
from triptych.generate.pipeline import generate
from triptych.generate.prompts import load
from triptych.generate.recipe import load_recipe
from triptych.generate.running.files import StageFiles

RECIPES = Path(__file__).parents[2] / "recipes" / "generate"


def source_of(name: str, folder: Path) -> str:
    """Return the sample annotations of a recipe, with pictures where they are looked for."""
    tv = frames(folder / "tv", "show_s01e01_seg01_clip_00")
    walk = frames(folder / "walk", "vid_clip000000", "vid_clip000001", count=5)
    video = frames(folder / "video", "v_one", count=4)
    room = frames(folder / "rooms", "scene0000_00", count=3)
    coco = f"coco_captions.json#instances={SAMPLES}/coco_instances.json&images={folder}/coco"
    return {
        "la": f"coco:{SAMPLES}/{coco}",
        "sd": f"spot_the_difference:{SAMPLES}/spot_the_difference.json#images={folder}/sd",
        "cgd": f"coco_difference:{SAMPLES}/{coco}",
        "sn": f"scannet:{SAMPLES}/scannet.json#images={room}",
        "dc": f"activitynet:{SAMPLES}/activitynet.json#frames={video}",
        "vst": f"vist:{SAMPLES}/vist.json#images={folder}/vist",
        "tvc": f"tvc:{SAMPLES}/tvc.jsonl#frames={tv}&fps=3",
        "e4d": f"ego4d:{SAMPLES}/ego4d.json#frames={walk}",
    }[name]


def writer(question: Example) -> str:
    """Write two pairs and a third that is torn off; three rounds for rooms. The words are unlike, so none repeats."""
    known = asked(question).splitlines()[-1].lstrip("- ")
    if '{"conversations"' in text_of(question.turns[0]):
        said = ("Where can I sleep tonight?", "Is there any light for reading?", "What do I see out of the window?")
        rounds = [{"question": each, "answer": f"Look around: {known}."} for each in said]
        return json.dumps({"conversations": [{"role": "guest", "goal": "rest", "rounds": rounds}]})
    pairs = [
        {"question": "Who or what is to be seen here, and where?", "answer": f"Somebody would say: {known}"},
        {"question": f"Could it have happened otherwise than so: {known}", "answer": "Hardly, I think."},
    ]
    return json.dumps({"pairs": [*pairs, {"question": "And", "answer": "it is be"}]})[:-5]


@pytest.mark.parametrize("name", ["la", "sd", "cgd", "sn", "dc", "vst", "tvc", "e4d"])
def test_a_recipe_goes_from_annotations_to_files_that_are_read_back(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    draw_all(run([{"kind": "annotate", "source": source}], tmp_path).items)
    canned = [f"stages.0.source={source}", f"teachers.writer={{model: 'canned:{__name__}.writer'}}"]
    recipe = load_recipe(RECIPES / f"{name}.yaml", canned)
    done = generate(recipe, folder=tmp_path / "run")
    refused = {note.label.partition("-")[2]: dict(note.refused) for note in done.stages if note.refused}
    assert refused.keys() <= {"annotate", "parse"}, refused
    files = StageFiles(tmp_path / "run", done.stages[-1].label)
    items = [placed.made for placed in files.read_items() if isinstance(placed.made, Item)]
    assert items
    prompt = load(str(recipe.stages[1].as_json()["prompt"]))
    expected = {item.id: item.example for item in items}
    loaded = load_examples(f"messages:{tmp_path}/run/train.jsonl", on_bad="raise")
    assert len(loaded.examples) == len(items)
    for example in loaded.examples:
        own = expected[example.id]
        assert own is not None
        assert example.skills == prompt.skills
        assert len(images_of(example)) == len(images_of(own)) > 0
        assert example.facts["prompt_hash"] == prompt.hash
    prefix = name.upper()
    released = load_examples(f"mimicit:{tmp_path}/run/{prefix}_instructions.json", on_bad="raise")
    shown = json.loads((tmp_path / "run" / f"{prefix}_train.json").read_text())
    assert shown == {item.id: facts_of(item, "relate")["ids"] for item in items}
    assert any(shown.values())
    for example in released.examples:  # rounds on the same images are read as turns
        assert len(example.demonstrations) + len(example.turns) // 2 - 1 == len(shown[example.id])
    assert (
        load_examples(f"mimicit:{tmp_path}/run/{prefix}_instructions.json#context=none", on_bad="raise").refused == ()
    )


IN_WORDS = {
    "Chinese": "这张图片展示了一个场景。", "Japanese": "この画像は場面を示しています。",
    "Korean": "이 그림은 장면을 보여 줍니다.", "Spanish": "La imagen muestra una escena tranquila.",
    "German": "Das Bild zeigt eine ruhige Szene.", "French": "L'image montre une scène tranquille.",
    "Arabic": "تظهر الصورة مشهدا هادئا.",
}  # fmt: skip


def writer_and_translator(question: Example) -> str:
    """Write as `writer` does; of a translation, keep the marks and numbers, and say one sentence in each language."""
    order, _, known = asked(question).partition("\n")
    if not order.startswith("From English to "):
        return writer(question)
    words = IN_WORDS[order.removeprefix("From English to ").rstrip(":")]
    texts = [re.findall(r"\[\[\d+\]\]|\S*_\S*|\d+(?:[.,]\d+)*", text) for text in json.loads(known)["texts"]]
    return json.dumps({"texts": [" ".join([*kept, words]) for kept in texts]})


@pytest.mark.parametrize("name", ["la", "sd", "cgd", "sn", "dc", "vst", "tvc", "e4d"])
def test_the_other_languages_of_a_recipe_come_out_where_its_comment_says(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    draw_all(run([{"kind": "annotate", "source": source}], tmp_path).items)
    text = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    (path := tmp_path / f"{name}.yaml").write_text(text.replace("# The paper's other languages, here: ", ""))
    canned = [f"stages.0.source={source}", f"teachers.writer={{model: 'canned:{__name__}.writer_and_translator'}}"]
    done = generate(load_recipe(path, canned), folder=tmp_path / "run")
    (note,) = [note for note in done.stages if note.label.endswith("translate")]
    assert note.refused == {}
    assert note.items_out == 8 * note.items_in > 0
    read = StageFiles(tmp_path / "run", "10-relate").read_items()
    related = [placed.made for placed in read if isinstance(placed.made, Item)]
    french = [item for item in related if item.facts["language"] == "fr" and item.example is not None]
    shown = [each.facts["language"] for item in french if item.example for each in item.example.demonstrations]
    assert french
    assert set(shown) <= {"fr"}


def test_the_teacher_reads_system_example_and_annotation_and_pairs_become_items(tmp_path: Path) -> None:
    seen: list[Example] = []

    def teacher(question: Example) -> str:
        seen.append(question)
        return writer(question)

    source = source_of("la", tmp_path)
    ran = chain(source, tmp_path, teacher)
    assert [turn.role for turn in seen[0].turns] == ["system", "user", "assistant", "user"]
    words = asked(seen[0])
    assert "- A red bus stops at a corner." in words
    assert "- bus: 0.10, 0.10, 0.60, 0.60" in words
    first, second = ran.items[:2]
    assert [first.id, second.id] == ["coco-000000000009/0", "coco-000000000009/1"]
    assert first.parents == ("coco-000000000009",)
    assert first.example is not None
    assert isinstance(first.example.turns[0].parts[0], ImageRef)
    assert [refusal.reason for refusal in ran.refusals] == ["unknown image", *["torn pair"] * 4]


def chain(source: str, folder: Path, teacher: object, **parse: object) -> Ran:
    steps = [
        {"kind": "annotate", "source": source},
        {"kind": "ask", "prompt": "la_conversation"},
        {"kind": "parse", **parse},
    ]
    return run(steps, folder, teacher=teacher)  # type: ignore[arg-type]


def test_an_unreadable_reply_is_laid_out_anew_once_and_then_refused(tmp_path: Path) -> None:
    repairs: list[str] = []

    def teacher(question: Example) -> str:
        if "could not read" not in text_of(question.turns[0]):
            return "They may ask what it is. It is a bus." if "bus" in asked(question) else "I cannot help."
        repairs.append(asked(question))
        return (
            '{"pairs": [{"question": "What is it?", "answer": "It is a bus."}]}' if "bus" in asked(question) else "No."
        )

    ran = chain(source_of("la", tmp_path), tmp_path, teacher)
    assert len(repairs) == 4
    assert [item.facts["parse"] for item in ran.items] == [{"repaired": True}] * 2
    assert [refusal.reason for refusal in ran.refusals[1:]] == ["no pairs"] * 2
    again = chain(source_of("la", tmp_path), tmp_path, teacher, repair=False)
    assert len(repairs) == 4
    assert not again.items


def test_a_conversation_keeps_its_rounds_in_one_item(tmp_path: Path) -> None:
    ran = chain(source_of("la", tmp_path) + "&limit=1", tmp_path, writer, into="conversation", images="numbered")
    (item,) = ran.items
    assert item.example is not None
    assert [turn.role for turn in item.example.turns] == ["user", "assistant"] * 2
    assert item.example.turns[0].parts[0] == Text("Image 1: ")
    assert len(images_of(item.example)) == 1


def test_a_mark_in_a_question_becomes_that_image_and_a_mark_of_none_is_refused(tmp_path: Path) -> None:
    pairs = [
        {"question": "How does <image 1> differ from <image 2>?", "answer": "<image 2> is later."},
        {"question": "What is in <image 7>?", "answer": "x"},
        {"question": "Which is it?", "answer": "<image 3>"},
    ]
    reply = json.dumps({"pairs": pairs})
    ran = chain(source_of("sd", tmp_path) + "&limit=1", tmp_path, lambda _: reply)
    (item,) = ran.items
    before, after = (view.media for view in item.annotation.views)
    assert item.example is not None
    assert item.example.turns[0].parts == (Text("How does "), before, Text(" differ from "), after, Text("?"))
    assert text_of(item.example.turns[1]) == "image 2 is later."
    assert [refusal.reason for refusal in ran.refusals] == ["no such image"] * 2
    assert [refusal.message.partition(": ")[2] for refusal in ran.refusals] == [
        "the question names image 7 of 2.",
        "the answer names image 3 of 2.",
    ]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How does <image 2> differ from <image 1>?", "<image 2> is later."),
        ("Look at <image 2>, then <image 1>. Which is later?", "Image 2."),
        ("Is <image 2> later? And <image 2>, is it darker than <image 1>?", "Yes."),
    ],
)
def test_images_whose_marks_stand_in_another_order_stay_in_front_and_keep_their_numbers(
    question: str, answer: str, tmp_path: Path
) -> None:
    reply = json.dumps({"question": question, "answer": answer})
    (item,) = chain(source_of("sd", tmp_path) + "&limit=1", tmp_path, lambda _: reply).items
    before, after = (view.media for view in item.annotation.views)
    assert item.example is not None
    words = re.sub(r"<(image \d)>", r"\1", question)
    assert item.example.turns[0].parts == (before, after, Text(words))


@pytest.mark.parametrize(
    ("first", "second", "rounds"),
    [
        (("What has changed?", "A van is gone."), ("What is in <image 2>?", "A car."), [[1, 2], []]),
        (("What is in <image 1>?", "A van, as in image 2."), ("And in <image 2>?", "A car."), [[1, 2], []]),
        (("What is in <image 1>?", "Both pictures show a van."), ("And in <image 2>?", "A car."), [[1, 2], []]),
        (("What is in <image 2>?", "A car."), ("And in <image 1>?", "A van."), [[1, 2], []]),
        (("What is in <image 1>?", "A van."), ("And in <image 2>?", "A car."), [[1], [2]]),
    ],
)
def test_a_round_is_shown_an_image_only_later_where_it_does_not_speak_of_it(
    first: tuple[str, str], second: tuple[str, str], rounds: list[list[int]], tmp_path: Path
) -> None:
    reply = json.dumps([dict(zip(("question", "answer"), each, strict=True)) for each in (first, second)])
    (item,) = chain(source_of("sd", tmp_path) + "&limit=1", tmp_path, lambda _: reply, into="conversation").items
    media = [view.media for view in item.annotation.views]
    assert item.example is not None
    shown = [
        [media.index(part) + 1 for part in turn.parts if isinstance(part, ImageRef)] for turn in item.example.turns
    ]
    assert shown[::2] == rounds


def test_a_video_is_one_part_of_the_question(tmp_path: Path) -> None:
    ran = chain(f"activitynet:{SAMPLES}/activitynet.json#videos={tmp_path}&limit=1", tmp_path, writer)
    assert ran.items[0].example is not None
    assert ran.items[0].example.turns[0].parts[0] == VideoRef(str(tmp_path / "v_one.mp4"))


def test_images_that_are_not_there_are_refused_when_asked_for_and_else_when_they_are_written(tmp_path: Path) -> None:
    source = source_of("sd", tmp_path)
    checked = run([{"kind": "annotate", "source": source, "check": True}], tmp_path)
    assert {refusal.reason for refusal in checked.refusals} >= {"image file missing"}
    assert not checked.items
    late = chain(source, tmp_path, writer)
    assert late.items
    written = run(
        [{"kind": "annotate", "source": source}, {"kind": "ask", "prompt": "sd"}, {"kind": "parse"},
         {"kind": "export", "to": "messages:train.jsonl"}], tmp_path, teacher=writer)  # fmt: skip
    assert not written.items
    assert {refusal.reason for refusal in written.refusals if refusal.stage == "export"} == {"image file missing"}


def test_images_alone_are_asked_about_only_by_showing_them(tmp_path: Path) -> None:
    folder = frames(tmp_path, "album", count=2)
    steps = [{"kind": "annotate", "source": f"folder:{folder}#by=folder"}, {"kind": "ask", "prompt": "sd"}]
    assert [refusal.reason for refusal in run(steps, tmp_path, teacher=writer).refusals] == ["nothing to tell"]
    seen: list[Example] = []

    def teacher(question: Example) -> str:
        seen.append(question)
        return "x"

    run([steps[0], {**steps[1], "images": True}], tmp_path, teacher=teacher)
    assert len(images_of(seen[0])) == 2


def test_several_samples_are_items_of_their_own_and_a_cut_reply_is_known(tmp_path: Path) -> None:
    steps = [
        {"kind": "annotate", "source": source_of("la", tmp_path) + "&limit=1"},
        {"kind": "ask", "prompt": "la_conversation", "samples": 2, "max_tokens": 9, "structured": False},
        {"kind": "parse"},
    ]
    ran = run(steps, tmp_path, teacher=lambda _: "Q: One?\nA: Yes.\nQ: Two?\nA: It is because of the")
    assert [item.id for item in ran.items] == ["coco-000000000009/0/0", "coco-000000000009/1/0"]
    assert [refusal.reason for refusal in ran.refusals] == ["torn pair"] * 2


def test_an_id_that_comes_twice_refuses_the_second_entry(tmp_path: Path) -> None:
    (tmp_path / "sd.json").write_text(json.dumps([{"img_id": "1", "sentences": ["a"]}] * 2))
    ran = run([{"kind": "annotate", "source": f"spot_the_difference:{tmp_path}/sd.json"}], tmp_path)
    assert [item.id for item in ran.items] == ["spot_the_difference-1"]
    assert [refusal.reason for refusal in ran.refusals] == ["duplicate id"]
