"""Draws the samples of the multi-image benchmarks, a few rows each, in the published layouts; words are ours too.

Run ``python -m tests.samples.draw_multi_image`` in the repository after a layout has changed, then
``python -m tests.samples.golden``; what they write is kept in the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from tests.samples.sized import PICTURE, draw, picture, write_json, write_parquet, write_video
from triptych.evaluate.benchmarks.mmdu import DIMENSIONS

PICTURES = pa.list_(PICTURE)


def mantis_row(name: str, row: int, images: int, **told: object) -> dict[str, object]:
    shown = [picture(row, slot) for slot in range(images)]
    return {"id": name, "question_type": "multi-choice", "images": shown, "category": "colours", **told}


def nlvr2(folder: Path) -> None:
    said = "<image><image> Here is a statement about the images. Is it true or false?\n"
    told = [("One image is red.", "A"), ("One image is red.", "B"), ("Both images are the same.", "B")]
    rows = [
        mantis_row(f"test1-{row}", row, 2, question=said + text, options=["(A) True", "(B) False"], answer=answer)
        for row, (text, answer) in enumerate(told)
    ]
    write_parquet(folder / "nlvr2" / "test-00000-of-00001.parquet", rows, images=PICTURES)


def mantis_eval(folder: Path) -> None:
    rows = [
        mantis_row(
            "me_0",
            0,
            2,
            question="<image> <image> Which image shows more red?",
            options=["(A) Image 1", "(B) Image 2", "(C) Both are alike"],
            answer="A",
        ),
        mantis_row(
            "me_1", 1, 3, question="Which is the odd one out of <image>?", options=["the first", "the last"], answer="B"
        ),
        {
            **mantis_row("me_2", 2, 4, question="<image><image> How many images are there?", options=[], answer="four"),
            "question_type": "short-answer",
        },
    ]
    write_parquet(folder / "mantis_eval" / "test-00000-of-00001.parquet", rows, images=PICTURES)


def birds_to_words(folder: Path) -> None:
    rows = []
    for row, options in enumerate([["Its beak is longer", "Its beak is shorter"], ["Brown", "White", "Grey"]]):
        images = [draw(folder, f"images/{row}_{slot}.png", row, slot) for slot in range(2)]
        asked = {"question": "How does the second bird differ?", "options": options, "answer": "B"}
        rows.append({**mantis_row(f"birds-to-words-{row}", row, 0), "images": images, **asked})
    write_json(folder / "test.json", rows)


def qbench2(folder: Path) -> None:
    rows = [
        {
            "id": row,
            "image1": picture(row, 0),
            "image2": picture(row, 1),
            "question": question,
            **{f"option{number}": option for number, option in enumerate(options)},
            "question_type": row,
            "question_concern": row + 1,
            "correct_choice": "B",
        }
        for row, (question, options) in enumerate(
            [
                ("Is the second image sharper than the first image?", ("Yes", "No", "N/A", "N/A")),
                ("How is the light of the first image?", ("Darker", "Brighter", "About the same", "N/A")),
            ]
        )
    ]
    write_parquet(folder / "data" / "dev-00000-of-00001.parquet", rows, image1=PICTURE, image2=PICTURE)


def muirbench(folder: Path) -> None:
    rows = []
    for row, (options, answer) in enumerate(
        [
            (["<image>", "<image>", "None of the choices provided"], "B"),
            (["<image>", "<image>", "None of the choices provided"], "C"),
        ]
    ):
        rows.append(
            {
                "idx": str(row),
                "task": "Visual Retrieval",
                "image_relation": "Partial Similarity",
                "image_type": "Drawing",
                "question": "Which image has the colour of this one? <image>",
                "options": options,
                "answer": answer,
                "image_list": [picture(row, slot) for slot in range(3)],
                "counterpart_idx": str(1 - row),
            }
        )
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", rows, image_list=PICTURES)


def mmiu(folder: Path) -> None:
    rows = []
    for row, (task, question) in enumerate(
        [("spot_the_diff", "What has changed?"), ("visual_ordering", "In which order do they belong?")]
    ):
        options = "A: the colour\nB: the size\nC: nothing"
        names = [draw(folder, f"Relation-{row}/{task}/{task}_0_{slot}.png", row, slot) for slot in range(3)]
        rows.append(
            {
                "task": task,
                "visual_input_component": "Drawing",
                "source": task,
                "options": options,
                "question": question,
                "context": f"Select from the following choices.\n{options}",
                "input_image_path": [f"./{name}" for name in names],
                "output": "AC"[row],
            }
        )
    write_json(folder / "all.json", rows)


def mvbench(folder: Path) -> None:
    write_video(folder / "video/star/Charades_v1_480/clip.mp4", frames=24, fps=8)
    for number in range(1, 13):
        draw(folder, f"video/tvqa/frames_fps3_hq/show/{number:05d}.jpg", number, 0)
    whole = {"video": "clip.mp4", "question": "What happens?", "candidates": ["It fades.", "It brightens."]}
    part = {**whole, "start": 1.0, "end": 2.5, "answer": "It brightens."}
    write_json(folder / "json/action_sequence.json", [part])
    write_json(folder / "json/episodic_reasoning.json", [{**part, "video": "show", "start": 0, "end": 4}])


def milebench(folder: Path) -> None:
    def told(kind: str, question_type: str, instruction: str, *rows: dict[str, object]) -> None:
        data = [
            {"sample_id": number, "task_instruction_id": 0, "image_quantity_level": "Few", **row}
            for number, row in enumerate(rows)
        ]
        meta = {"dataset": kind, "question_type": question_type, "task_instruction": [instruction]}
        write_json(folder / kind / f"{kind}.json", {"meta_data": meta, "data": data})

    def images(kind: str, row: int, count: int) -> list[str]:
        return [draw(folder / kind / "images", f"{row}_{slot}.png", row, slot) for slot in range(count)]

    told(
        "state_change",
        "multi-choice",
        "Watch the frames and answer.",
        {
            "task_instance": {
                "context": "{image#1}{image#2}\nWhat changed?",
                "images_path": images("state_change", 0, 2),
                "choice_list": ["the colour", "the size"],
            },
            "response": "the size",
        },
    )
    told(
        "Spot-the-Diff",
        "open-ended",
        "Say how the two images differ.",
        {
            "task_instance": {
                "context": "First: {image#1} Second: {image#2}",
                "images_path": images("Spot-the-Diff", 0, 2),
            },
            "response": "The second image is a little wider than the first.",
        },
    )
    told(
        "ImageNeedleInAHaystack",
        "open-ended",
        "Find the word in the images.",
        {
            "task_instance": {
                "context": "{image#1}{image#2}{image#3}\nWhat is the secret word?",
                "images_path": images("ImageNeedleInAHaystack", 0, 3),
            },
            "response": "umbrella",
        },
    )


def mirb(folder: Path) -> None:
    def told(kind: str, *rows: tuple[str, object]) -> None:
        write_json(
            folder / f"{kind}.json",
            [
                {
                    "images": [draw(folder, f"images/{kind}/{row}_{slot}.png", row, slot) for slot in range(2)],
                    "questions": question,
                    "answers": answer,
                }
                for row, (question, answer) in enumerate(rows)
            ],
        )

    told("food", ("Which fruit is in both? A: apple, B: pear", "B"))
    told("analogy", ("Do the images relate alike?", "Yes"), ("Are they the same?", "No"))
    told("count", ("How many squares are in all images?", 3))
    told("sightseeing", ("Which town is shown?", "Ghent"))


def remi(folder: Path) -> None:
    told = [
        ("EmojiAlgebra", "<image1> says a sum and <image2> another. What is x?", "12", 2),
        ("Clocks", "How many minutes are between <image1> and <image2>?", "95", 2),
        ("RefCoco", "Which of <image1>, <image2> and <image3> is red?", "1,3", 3),
    ]
    rows = [
        {
            "question": question,
            "label": label,
            "task": task,
            **{f"image_{slot + 1}": picture(row, slot) if slot < count else None for slot in range(6)},
        }
        for row, (task, question, label, count) in enumerate(told)
    ]
    write_parquet(folder / "test.parquet", rows, **{f"image_{slot}": PICTURE for slot in range(1, 7)})


def winoground(folder: Path) -> None:
    captions = [("a dog behind a cat", "a cat behind a dog"), ("red on blue", "blue on red")]
    rows = [
        {
            "id": row,
            "image_0": picture(row, 0),
            "image_1": picture(row, 1),
            "caption_0": first,
            "caption_1": second,
            "tag": "Noun",
            "collapsed_tag": "Object",
        }
        for row, (first, second) in enumerate(captions)
    ]
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", rows, image_0=PICTURE, image_1=PICTURE)


def naturalbench(folder: Path) -> None:
    told = [
        ("yes_no", ("Is it red?", "Is it green?"), ("Yes", "No")),
        ("multiple_choice", ("Which one? Option: A: red; B: green;", "Which side? Option: A: left; B: right;"), "AB"),
    ]
    rows = [
        {
            "Index": row,
            "Image_0": picture(row, 0),
            "Image_1": picture(row, 1),
            "Question_0": questions[0],
            "Image_0_Question_0": answers[0],
            "Image_1_Question_0": answers[1],
            "Question_1": questions[1],
            "Image_0_Question_1": answers[1],
            "Image_1_Question_1": answers[0],
            "Question_Type": kind,
            "Source": "drawn",
        }
        for row, (kind, questions, answers) in enumerate(told)
    ]
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", rows, Image_0=PICTURE, Image_1=PICTURE)


def visual_haystacks(folder: Path) -> None:
    names = [draw(folder, f"coco/val2017/{slot}.png", 0, slot) for slot in range(4)]

    def told(question: str, answer: str, needles: list[str]) -> dict[str, object]:
        turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        return {"conversations": turns, "pos_image": needles, "neg_image": [n for n in names if n not in needles]}

    one = [told("For the image with a dog, is there a cat?", "yes", names[:1])]
    all_of = [told("For all images with a dog, do all of them contain a cat?", "no", names[:2])]
    write_json(folder / "VHs_qa/single_needle/VHs_small/visual_haystack_4.json", one)
    write_json(folder / "VHs_qa/multi_needle/multi_needle_2/visual_haystack_4_2.json", all_of)


def mmdu(folder: Path) -> None:
    images = [draw(folder, f"mmdu_pics/{slot}.png", 0, slot) for slot in range(3)]
    said = [
        ("user", "<ImageHere><ImageHere>What do these two images share?"),
        ("assistant", "Both are small and of one colour."),
        ("user", "And this one?\n<ImageHere>"),
        ("assistant", "It is wider than both."),
    ]
    turns = [{"from": who, "value": text} for who, text in said]
    write_json(folder / "benchmark.json", {"0": {"id": "d0", "image": images, "conversations": turns}})
    (folder / "verdict.txt").write_text("Well said.\n" + str(dict.fromkeys(DIMENSIONS, 10)) + "\n", encoding="utf-8")


def mementos(folder: Path) -> None:
    rows = [
        {
            "id": f"rw_{row}",
            "question_type": "short-answer",
            "question": "Write a description for the given image sequence in a single paragraph.",
            "images": [picture(row, slot) for slot in range(count)],
            "answer": "A square grows wider from left to right.",
        }
        for row, count in enumerate((3, 15))
    ]
    write_parquet(folder / "mementos" / "single_image_dl-00000-of-00001.parquet", rows, images=PICTURES)
    lists = "Object list {0}: [square]\nAction list {0}: [grow]\n"
    (folder / "verdict.txt").write_text(lists.format(1) + lists.format(2), encoding="utf-8")


DRAWN: Mapping[str, Callable[[Path], None]] = {
    each.__name__: each
    for each in (
        nlvr2, mantis_eval, birds_to_words, qbench2, muirbench, mmiu, mvbench, milebench, mirb, remi, winoground,
        naturalbench, visual_haystacks, mmdu, mementos,
    )
}  # fmt: skip

if __name__ == "__main__":
    for name, draw_one in DRAWN.items():
        draw_one(Path(__file__).parent / name)
