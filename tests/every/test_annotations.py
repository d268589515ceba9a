"""What every layout of annotation files promises, tried on the samples of each: ``samples/annotations/NAME*``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pictures import draw
from triptych.core import plugins
from triptych.core.errors import ConfigError, DataError, NotFoundError
from triptych.data.format import Refused
from triptych.generate.annotation import AnnotationLayout, read_annotations
from triptych.generate.item import Annotation, Item
from triptych.generate.written import item_from_json, item_to_json, line_of

SAMPLES = Path(__file__).parents[1] / "samples" / "annotations"
LAYOUTS = {name: plugins.find("annotation", name, expected=AnnotationLayout) for name in plugins.names("annotation")}


def source_of(name: str, folder: Path) -> str:
    """Return a source of a layout: of the samples that bear its name, or made here where it reads pictures or draws."""
    match name:
        case "drawn":
            return f"drawn:{folder}#count=3"
        case "folder" | "albums":
            for path in ("one/1.png", "one/2.png", "two/1.png", "two/2.png"):
                draw(folder / path)
            return f"{name}:{folder}"
        case "examples":
            rows = [
                {"id": "r", "messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]}
            ]
            (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            return f"examples:messages:{folder}/rows.jsonl"
        case "scannet":
            for number in range(3):
                draw(folder / "scene0000_00" / f"{number}.jpg")
            return f"scannet:{SAMPLES}/scannet.json#images={folder}"
        case "nlvr":
            draw(folder / "images" / "0" / "dev-1-0-0.png", size=(400, 100))
            box = [{"x_loc": 10, "y_loc": 20, "size": 20, "type": "square", "color": "Yellow"}]
            row = {"identifier": "1-0", "directory": "0", "sentence": "There is a box.", "label": "true"}
            (folder / "dev.json").write_text(json.dumps({**row, "structured_rep": [box, [], box]}) + "\n")
            return f"nlvr:{folder}/dev.json"
    own = (
        sorted(SAMPLES.glob(f"{name}.*")) or sorted(SAMPLES.glob(f"{name}*")) or sorted(SAMPLES.glob(f"{_stem(name)}*"))
    )
    assert own, f"no sample of {name} in {SAMPLES}"
    return f"{name}:{own[0]}"


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_entries_are_annotations_or_refusals_and_the_same_each_time(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    entries = list(read_annotations(source))
    made = [
        entry.annotation if isinstance(entry, Item) else entry for entry in entries if not isinstance(entry, Refused)
    ]
    assert made
    assert len({annotation.id for annotation in made}) == len(made)
    for annotation in made:
        assert isinstance(annotation, Annotation)
        assert annotation.id
        assert annotation.origin
        item = Item(annotation.id, annotation)
        assert item_from_json(json.loads(line_of(item_to_json(item))), where="here") == item
        for thing in (thing for view in annotation.views for thing in view.things):
            assert thing.box is None or (
                0 <= thing.box[0] <= thing.box[2] <= 1 and 0 <= thing.box[1] <= thing.box[3] <= 1
            )
    for entry in entries:
        if isinstance(entry, Refused):
            assert entry.reason
            assert entry.message
    assert list(read_annotations(source)) == entries


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_the_first_entries_are_those_of_the_whole(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    sign = "&" if "#" in source else "#"
    assert list(read_annotations(f"{source}{sign}limit=1")) == list(read_annotations(source))[:1]


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_an_option_that_it_does_not_know_is_refused(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    sign = "&" if "#" in source else "#"
    with pytest.raises((ConfigError, DataError), match="colour"):
        list(read_annotations(f"{source}{sign}colour=red"))


@pytest.mark.parametrize("name", sorted(set(LAYOUTS) - {"drawn", "albums"}))
def test_a_file_that_is_not_there_is_one_clear_line(name: str, tmp_path: Path) -> None:
    source = "examples:messages:gone.jsonl" if name == "examples" else f"{name}:{tmp_path}/gone"
    with pytest.raises((DataError, NotFoundError), match="gone") as told:
        list(read_annotations(source))
    assert "\n" not in str(told.value)


def _stem(name: str) -> str:
    return name.partition("_")[0]
