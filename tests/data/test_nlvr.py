"""NLVR: three boxes of one picture, in place, and the statement about them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.pictures import draw, real_data
from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, images_of, text_of
from triptych.data.format import Refused, load_examples, read_source
from triptych.data.formats import nlvr
from triptych.data.media.images import load_image


@pytest.fixture
def statements(tmp_path: Path) -> Path:
    folder = tmp_path / "nlvr"
    rows = []
    for number in range(6):
        identifier = f"{number}-0"
        for order in range(6):
            draw(folder / "images" / str(number) / f"dev-{identifier}-{order}.png", size=(400, 100))
        label = "true" if number % 2 else "False"
        rows.append(
            {"sentence": f"There is {number}.", "label": label, "identifier": identifier, "directory": str(number)}
        )
    rows.append({"sentence": "Lost.", "label": "true", "identifier": "9-9", "directory": "0"})
    rows.append({"sentence": "Unsure.", "label": "maybe", "identifier": "1-0", "directory": "1"})
    (folder / "dev.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("file", ["", "/dev.json"])
def test_nlvr_asks_about_three_boxes_of_one_picture(file: str, statements: Path) -> None:
    first, second, *rest = read_source(f"nlvr:{statements}{file}")
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert [(Path(image.source).name, image.box) for image in images_of(first)] == [
        ("dev-0-0-0.png", (0, 0, 100, 100)),
        ("dev-0-0-0.png", (150, 0, 250, 100)),
        ("dev-0-0-0.png", (300, 0, 400, 100)),
    ]
    assert (text_of(first.turns[1]), text_of(second.turns[1])) == ("false", "true")
    assert "There is 0." in text_of(first.turns[0])
    assert first.facts["options"] == ["true", "false"]
    assert (first.facts["scenario"], first.facts["chance"], first.facts["split"]) == ("images", 0.5, "dev")
    assert [(each.where.partition("json: ")[2], each.reason) for each in rest if isinstance(each, Refused)] == [
        ("row 6 (id '9-9')", "image file missing"),
        ("row 7 (id '1-0')", "bad row"),
    ]


@pytest.mark.parametrize(("option", "directories"), [("0-3", "0123"), ("4-5", "45"), ("5", "5"), ("0,2-3", "023")])
def test_nlvr_keeps_the_directories_asked_for(option: str, directories: str, statements: Path) -> None:
    rows = read_source(f"nlvr:{statements}#directories={option}")
    kept = [str(each.facts["directory"]) for each in rows if isinstance(each, Example)]
    assert kept == list(directories)


def test_nlvr_takes_another_order_of_the_boxes(statements: Path) -> None:
    first = next(iter(read_source(f"nlvr:{statements}#permutation=5")))
    assert isinstance(first, Example)
    assert images_of(first)[0].source.endswith("dev-0-0-5.png")


@pytest.mark.parametrize(
    "option", ["directories=", "directories=a", "directories=0-", "permutation=6", "permutation=x"]
)
def test_nlvr_refuses_senseless_options(option: str, statements: Path) -> None:
    with pytest.raises(ConfigError, match=option.partition("=")[0]):
        read_source(f"nlvr:{statements}#{option}")


def test_the_boxes_of_the_real_pictures_lie_between_grey_bars() -> None:
    folder = real_data("nlvr_dev")
    loaded = load_examples(f"nlvr:{folder}", on_bad="raise")
    assert len(loaded.examples) == 989
    assert Counter(text_of(example.turns[1]) for example in loaded.examples) == {"true": 547, "false": 442}
    assert len(list(read_source(f"nlvr:{folder}#directories=4-5"))) == 325
    assert {image.size for example in loaded.examples for image in images_of(example)} == {(100, 100)}
    bar = (128, 128, 128)
    for example in loaded.examples[::50]:
        whole = load_image(ImageRef(images_of(example)[0].source))
        for left, right in zip(nlvr.BOXES, nlvr.BOXES[1:], strict=False):
            assert whole.crop((left[2], 0, right[0], 100)).getcolors() == [(50 * 100, bar)]
        corners = [load_image(image).crop((0, 0, 1, 100)) for image in images_of(example)]
        assert all(bar not in {colour for _, colour in corner.getcolors() or []} for corner in corners)
