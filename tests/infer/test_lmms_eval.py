"""The bridge to lmms-eval: its chat messages become our conversations, part for part; and lmms-eval itself.

What needs lmms-eval runs where it can be imported: ``python benchmarks/evaluate.py --peer lmms-eval`` makes such an
environment in the cache folder, and ``peers/lmms-eval-*/bin/python -m pytest`` there runs these tests with it.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from triptych.core.errors import DataError
from triptych.core.records import Answer, Example, ImageRef, Text, Turn, images_of
from triptych.data.media.images import load_image
from triptych.infer.local import LocalResponder
from triptych.models.families.tiny import tiny
from triptych.models.vision.features import FeatureStore

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NOT_HERE = "lmms-eval is not installed here: benchmarks/evaluate.py --peer lmms-eval makes an environment with it"
REPLY_TOKENS = 6
COLOURS = ("red", "navy", "olive", "white")

TASK = """
task: in_places
dataset_path: json
dataset_kwargs: {data_files: {test: documents.jsonl}}
test_split: test
output_type: generate_until
doc_to_messages: !function in_places.messages
doc_to_text: ""
doc_to_target: answer
generation_kwargs: {max_new_tokens: 6, do_sample: false, temperature: 0}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""

TASK_FUNCTIONS = """
from PIL import Image

def messages(doc, lmms_eval_specific_kwargs=None):
    return [{"role": "user", "content": [part(each) for each in doc["parts"]]}]

def part(each):
    if each.endswith(".png"):
        return {"type": "image", "url": Image.open(each).convert("RGB")}
    return {"type": "text", "text": each}
"""


@pytest.fixture
def example_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Example]:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    name = "lmms_eval_messages"
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Example] = module.example_of
    return found


def test_parts_keep_their_order_and_images_their_pixels(example_of: Callable[..., Example], tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (9, 8), "red"), Image.new("RGBA", (7, 6), "blue")
    path = tmp_path / "green.png"
    Image.new("RGB", (5, 4), "green").save(path)
    file = io.BytesIO()
    red.save(file, "JPEG")
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Is "},
                {"type": "image", "url": red},
                {"type": "text", "text": " <image> "},
                {"type": "image", "url": str(path)},
                {"type": "image", "url": blue},
                {"type": "image", "url": file.getvalue()},
                {"type": "image", "url": red},
            ],
        },
    ]
    question = example_of(messages, "q")
    system, asked = question.turns
    assert (system.role, system.parts) == ("system", (Text("Be brief."),))
    assert [type(part) for part in asked.parts] == [Text, ImageRef, Text, ImageRef, ImageRef, ImageRef, ImageRef]
    assert asked.parts[2] == Text(" <image> ")
    shown = images_of(question)
    assert [load_image(image).size for image in shown] == [(9, 8), (5, 4), (7, 6), (9, 8), (9, 8)]
    assert load_image(shown[0]).tobytes() == red.tobytes()
    assert shown[0] == shown[-1], "the same picture is kept once"


def test_a_video_becomes_frames_in_its_place(example_of: Callable[..., Example], tmp_path: Path) -> None:
    folder = tmp_path / "film"
    folder.mkdir()
    for number in range(9):
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(folder / f"frame_{number}.png")
    content = [{"type": "video", "url": str(folder)}, {"type": "text", "text": "?"}]
    question = example_of([{"role": "user", "content": content}], "q", video_frames=3)
    assert [Path(image.source).name for image in images_of(question)] == ["frame_0.png", "frame_4.png", "frame_8.png"]


@pytest.mark.parametrize("part", [{"type": "audio", "url": "a.wav"}, {"type": "image", "url": "nowhere.png"}])
def test_what_cannot_be_shown_is_refused_by_name(example_of: Callable[..., Example], part: dict[str, str]) -> None:
    with pytest.raises(DataError, match="document 3"):
        example_of([{"role": "user", "content": [part]}], "document 3")


def test_lmms_eval_takes_the_model_for_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lmms_eval.api.model", reason=NOT_HERE)
    from lmms_eval.models.registry_v2 import ModelManifest, ModelRegistryV2

    monkeypatch.syspath_prepend(str(EXAMPLES))
    registry = ModelRegistryV2()
    registry.register_manifest(ModelManifest("triptych", chat_class_path="lmms_eval_bridge.TriptychModel"))
    assert registry.get_model_class("triptych").__name__ == "TriptychModel"
    sys.modules.pop("lmms_eval_bridge", None)


@pytest.mark.slow
def test_the_command_line_of_lmms_eval_gets_the_replies_that_triptych_gives(tmp_path: Path) -> None:
    pytest.importorskip("lmms_eval.api.model", reason=NOT_HERE)
    model = tiny(3)
    model.save(tmp_path / "model")
    questions = [Example(str(number), (Turn("user", parts),)) for number, parts in enumerate(_asked(tmp_path))]
    responder = LocalResponder(model, features=FeatureStore(model), name="tiny")
    ours = {said.id: said for said in responder.answer(questions, max_tokens=REPLY_TOKENS) if isinstance(said, Answer)}
    assert len({said.text for said in ours.values()}) > 1, "or the order of images would not show"

    said = _run_lmms_eval(tmp_path, [(question.turns[0].parts, ours[question.id].text) for question in questions])
    (samples,) = (tmp_path / "out").rglob("*_samples_in_places.jsonl")
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    theirs = {str(row["doc_id"]): (row["filtered_resps"], row["token_counts"][0]["input_tokens"]) for row in rows}
    assert theirs == {name: (answer.text, answer.tokens_in) for name, answer in ours.items()}, said
    (results,) = (tmp_path / "out").rglob("*_results.json")
    assert json.loads(results.read_text(encoding="utf-8"))["results"]["in_places"]["exact_match,none"] == 1.0


@pytest.mark.slow
def test_lmms_evals_own_model_gives_the_replies_of_the_engine(tmp_path: Path) -> None:
    pytest.importorskip("lmms_eval.api.model", reason=NOT_HERE)
    tiny(3).save(tmp_path / "model")
    command = [sys.executable, "benchmarks/evaluate.py", "--model", str(tmp_path / "model"), "--stories", "1"]
    command += ["--repeats", "1", "--peer-python", sys.executable]
    done = subprocess.run(command, cwd=ROOT, env=_environment(tmp_path), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["lmms_eval"]["model"] == "llava_hf (chat), generate_until", done.stderr
    assert found["engine_same_replies_as_lmms_eval_count"] == found["questions_count"] > 3


def _asked(folder: Path) -> list[tuple[Text | ImageRef, ...]]:
    images = []
    for number, colour in enumerate(COLOURS):
        path = folder / f"{colour}.png"
        Image.new("RGB", (30 + number, 20), colour).save(path)
        images.append(ImageRef(str(path)))
    red, navy, olive, white = images
    return [
        (Text("is "), red, Text(" older than "), navy, Text("?")),
        (Text("is "), navy, Text(" older than "), red, Text("?")),
        (olive, white, Text("what is the second picture?")),
        (Text("and this "), white, Text("?")),
    ]


def _run_lmms_eval(folder: Path, asked: list[tuple[tuple[Any, ...], str]]) -> str:
    documents = [
        {"parts": [part.text if isinstance(part, Text) else part.source for part in parts], "answer": reply}
        for parts, reply in asked
    ]
    lines = folder / "documents.jsonl"
    lines.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    (folder / "tasks").mkdir()
    (folder / "tasks" / "in_places.py").write_text(TASK_FUNCTIONS, encoding="utf-8")
    (folder / "tasks" / "in_places.yaml").write_text(TASK.replace(lines.name, str(lines)), encoding="utf-8")
    command = [sys.executable, str(EXAMPLES / "lmms_eval_bridge.py"), "--model", "triptych", "--tasks", "in_places"]
    command += ["--model_args", f"pretrained={folder / 'model'}", "--include_path", str(folder / "tasks")]
    command += ["--output_path", str(folder / "out"), "--log_samples"]
    done = subprocess.run(command, env=_environment(folder), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _environment(folder: Path) -> dict[str, str]:
    folders = {"TRIPTYCH_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "hub"), "PYTHONPATH": str(ROOT)}
    return {**os.environ, **folders, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
