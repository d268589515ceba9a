"""Draws the samples of the video benchmarks and of those that rate videos, a few rows each, in the published layouts.

Run ``python -m tests.samples.draw_videos`` in the repository after a layout has changed, then
``python -m tests.samples.golden``; what they write is kept in the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.samples.sized import draw, write_json, write_parquet, write_video
from triptych.evaluate.question.video_quality import ASPECTS

YES = "{'pred': 'yes', 'score': 5}\n"


def video(folder: Path, name: str, *, frames: int = 20) -> None:
    write_video(folder / name, frames=frames, fps=8)


def verdict(folder: Path, words: str) -> None:
    (folder / "verdict.txt").write_text(words, encoding="utf-8")


def nextqa(folder: Path) -> None:
    video(folder, "NExTVideo/4010069381.mp4")
    options = ["to rest", "to play", "to eat", "to wave", "to look"]
    rows = [
        {
            "video": 4010069381,
            "frame_count": 20,
            "width": 32,
            "height": 32,
            "question": question,
            "answer": answer,
            "qid": row,
            "type": kind,
            **{f"a{number}": option for number, option in enumerate(options)},
            "additional_ref_answer": None,
        }
        for row, (question, kind, answer) in enumerate(
            [("why did the square grow brighter", "CW", 1), ("what does it do at the end", "TN", 4)]
        )
    ]
    write_parquet(folder / "MC" / "test-00000-of-00001.parquet", rows)


def nextqa_oe(folder: Path) -> None:
    video(folder, "NExTVideo/4010069381.mp4")
    rows = [
        {
            "video": 4010069381,
            "frame_count": 20,
            "width": 32,
            "height": 32,
            "question": question,
            "answer": answer,
            "qid": row,
            "type": kind,
            "additional_ref_answer": other,
        }
        for row, (question, kind, answer, other) in enumerate(
            [
                ("why did the square grow brighter", "CW", "to be seen", "shows itself"),
                ("what did it do before the end", "TP", "grew", None),
                ("how many squares are there", "DC", "one", None),
            ]
        )
    ]
    write_parquet(folder / "OE" / "test-00000-of-00001.parquet", rows)


def activitynet_qa(folder: Path) -> None:
    video(folder, "all_test/v_1QIUV7WYKXg.mp4")
    rows = [
        {
            "video_name": "1QIUV7WYKXg",
            "question": question,
            "question_id": f"v_1QIUV7WYKXg_{row}",
            "answer": answer,
            "type": kind,
        }
        for row, (question, answer, kind) in enumerate(
            [("is the square bright at the end", "yes", "3"), ("what is in the video", "square", "5")]
        )
    ]
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", rows)
    verdict(folder, YES)


def msvd_qa(folder: Path) -> None:
    video(folder, "YouTubeClips/-4wsuPCjDBc_5_15.avi")
    (folder / "youtube_mapping.txt").write_text("-4wsuPCjDBc_5_15 vid1451\n", encoding="utf-8")
    told = [("what grows brighter?", "square"), ("who is there?", "nobody")]
    write_json(
        folder / "test_qa.json",
        [
            {"answer": answer, "id": row, "question": asked, "video_id": 1451}
            for row, (asked, answer) in enumerate(told)
        ],
    )
    verdict(folder, YES)


def msrvtt_qa(folder: Path) -> None:
    video(folder, "TestVideo/video7010.mp4")
    told = [("what is shown?", "square"), ("is it red?", "no")]
    write_json(
        folder / "test_qa.json",
        [
            {"answer": answer, "category_id": 14, "id": row, "question": asked, "video_id": 7010}
            for row, (asked, answer) in enumerate(told)
        ],
    )
    verdict(folder, YES)


def video_mme(folder: Path) -> None:
    video(folder, "data/fFjv93ACGo8.mp4", frames=40)
    rows = [
        {
            "video_id": "001",
            "duration": "short",
            "domain": "Knowledge",
            "sub_category": "Humanity & History",
            "url": "https://example.org",
            "videoID": "fFjv93ACGo8",
            "question_id": f"001-{row + 1}",
            "task_type": task,
            "question": question,
            "options": ["A. It grows.", "B. It shrinks.", "C. It brightens.", "D. It turns."],
            "answer": "CA"[row],
        }
        for row, (task, question) in enumerate(
            [("Temporal Perception", "What does the square do?"), ("Counting Problem", "What else?")]
        )
    ]
    write_parquet(folder / "videomme" / "test-00000-of-00001.parquet", rows)


def video_detail(folder: Path) -> None:
    asked = "Please provide a detailed description of the video, focusing on the main subjects and their actions."
    rows = []
    for name in ("v_one", "v_two"):
        video(folder, f"Test_Videos/{name}.mp4")
        rows.append({"video_name": name, "question": asked, "answer": "A dark square grows bright, evenly."})
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", rows)
    verdict(folder, "{'detail': 5}\n")


def video_chatgpt(folder: Path) -> None:
    video(folder, "Test_Videos/v_one.mp4")
    for name, asked in (("generic", "What happens in the video?"), ("temporal", "What happens first?")):
        write_json(folder / f"{name}_qa.json", [{"Q": asked, "A": "A square grows bright.", "video_name": "v_one"}])
    twice = {"Q1": "What grows bright?", "Q2": "Which thing gets brighter?", "A": "A square.", "video_name": "v_one"}
    write_json(folder / "consistency_qa.json", [twice])
    verdict(folder, "{'correctness': 5, 'detail': 5, 'context': 5, 'temporal': 5, 'consistency': 5}\n")


def bench_row(folder: Path, benchmark: str, row: int, name: str, **told: object) -> dict[str, object]:
    """A row of VideoScore-Bench, its three frames drawn."""
    files = [f"{name}_{slot:02d}.png" for slot in range(3)]
    for slot, file in enumerate(files):
        draw(folder, f"frames_{benchmark}/{name}/{file}", row, slot)
    asked = f'Say how good it is.\nFor this video, the text prompt is "a square, number {row}",\nall the frames are:\n'
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": str(told.pop("said", ""))}]
    return {"id": name, "images": files, "conversations": turns, **told}


def videofeedback_test(folder: Path) -> None:
    people = ([1, 2, 3, 4, 1], [2, 3, 4, 1, 2], [4, 1, 3, 2, 3])
    rows = []
    for row, ratings in enumerate(people):
        said = "\n".join(f"{aspect}: {rating}" for aspect, rating in zip(ASPECTS, ratings, strict=True))
        rows.append(bench_row(folder, "video_feedback", row, f"p{row:06d}", said=said))
    write_parquet(folder / "test-00000-of-00001.parquet", rows)


def evalcrafter(folder: Path) -> None:
    people = ([1.0, 2.5, 3.0, 4.0, 1.5], [2.0, 3.0, 4.0, 1.0, 2.0], [4.0, 1.0, 3.5, 2.0, 3.0])
    rows = [bench_row(folder, "eval_crafter", row, f"{row:04d}_model", score_list=it) for row, it in enumerate(people)]
    write_parquet(folder / "test-00000-of-00001.parquet", rows)


def genai_bench(folder: Path) -> None:
    pairs = [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)]
    rows = [
        bench_row(folder, "genaibench", 2 * pair + at, f"{pair:04d}_{side}", preference=liked[at])
        for pair, liked in enumerate(pairs)
        for at, side in enumerate(("left", "right"))
    ]
    write_parquet(folder / "test-00000-of-00001.parquet", rows)


def vbench(folder: Path) -> None:
    models = ("cogvideo", "lavie", "modelscope", "videocrafter")
    rows = []
    for number, source in enumerate(("technical_quality", "motion_smoothness")):
        order = models if number == 0 else models[::-1]
        for at, model in enumerate(models):
            over = {
                other: None if other == model else float(order.index(model) < order.index(other)) for other in models
            }
            name = f"{source}_{number}_{model}"
            rows.append(bench_row(folder, "vbench", 4 * number + at, name, preference=over))
    write_parquet(folder / "test-00000-of-00001.parquet", rows)


DRAWN: Mapping[str, Callable[[Path], None]] = {
    each.__name__: each
    for each in (
        nextqa, nextqa_oe, activitynet_qa, msvd_qa, msrvtt_qa, video_mme, video_detail, video_chatgpt,
        videofeedback_test, evalcrafter, genai_bench, vbench,
    )
}  # fmt: skip

if __name__ == "__main__":
    for name, draw_one in DRAWN.items():
        draw_one(Path(__file__).parent / name)
