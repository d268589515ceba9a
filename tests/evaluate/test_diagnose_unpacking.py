"""A diagnosis of a few questions unpacks the pictures that it shows, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluate.test_sample import PACKED
from tests.samples.golden import SAMPLES
from triptych.core.plugins import find
from triptych.core.records import Example, images_of
from triptych.data.media.locate import exists
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.diagnosis.conditions import choose_conditions
from triptych.evaluate.diagnosis.diagnose import diagnose
from triptych.infer.canned import CannedResponder


@pytest.mark.parametrize("only", [("blind",), ("blind", "wrong_images")], ids=" ".join)
@pytest.mark.parametrize("name", sorted({*PACKED} - {"genai_bench", "vbench"}))  # of one question they have no total
def test_only_pictures_that_are_shown_are_unpacked(
    name: str, only: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "few"))
    seen: list[Example] = []

    def reply(question: Example) -> str:
        seen.append(question)
        assert all(exists(image.source) for image in images_of(question))
        return "yes"

    diagnose(
        find("benchmark", name, expected=Benchmark),
        SAMPLES / name,
        responder=CannedResponder(reply),
        folder=tmp_path / "run",
        name=name,
        limit=1,
        conditions=choose_conditions(only),
    )
    shown = {image.source for question in seen for image in images_of(question)}
    kept = {str(path) for path in (tmp_path / "few" / "images").rglob("*") if path.is_file()}
    assert kept == {source for source in shown if "few/images" in source}
