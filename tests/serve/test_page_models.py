"""The page and what its models can: one that scores is asked for scores, one that is told no numbers has that said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.serve.api_server import serving
from tests.serve.browser import chromium, opened, playwright, write, written
from triptych.infer.scores import Scorer
from triptych.models.families.tiny import tiny
from triptych.models.heads import ScoreHead, Scoring
from triptych.models.vision.features import FeatureStore
from triptych.serve.api.routes import Served
from triptych.serve.api.scores import ScoreDesk

expect = playwright.expect


pytestmark = pytest.mark.flaky(reruns=2)
"""See ``browser.py``."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    model = tiny(3)
    model.score_head = ScoreHead(Scoring(targets=("quality", "motion")), 48, seed=4)
    desk = ScoreDesk(Scorer(model, features=FeatureStore(model)), name="judge", queue=4)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
        with (
            chromium() as browser,
            serving(tmp_path, [tiny(3)], served=[Served("judge", None, desk)]) as server,
            opened(browser, server.url) as found,
        ):
            yield found
    desk.close()


def test_a_model_with_a_score_head_is_asked_for_scores(page: Any) -> None:
    assert page.locator("#score").is_hidden()
    page.locator("#model").select_option("judge")
    write(page, "How good is ", "[red]", "?")
    page.locator("#score").click()
    scored = page.locator("#scored")
    expect(scored).to_contain_text("quality")
    assert scored.inner_text().replace("-", "").split()[1::3] == ["quality", "motion"]
    page.locator("#send").click()
    expect(page.locator("#problem-words")).to_contain_text("none for words")
    assert page.locator("#editor .chip").count() == 1


def test_it_is_said_where_a_model_is_not_told_the_numbers(page: Any) -> None:
    page.locator("#sees summary").click()
    talker = page.evaluate("fetch('v1/models').then((answer) => answer.json())")["data"][0]
    assert page.locator("#unnumbered").is_visible() == (not talker["numbers_images"])


def test_images_are_counted_from_where_the_model_counts(tmp_path: Path) -> None:
    model = tiny(3)
    model.template = replace(model.template, image_before="(image {k}: ", image_after=")", first_number=0)
    with (
        chromium() as browser,
        serving(tmp_path, [model]) as server,
        opened(browser, server.url) as page,
    ):
        write(page, "Is ", "[red]", " like ", "[blue]")
        assert written(page) == "Is [image 0: red.png] like [image 1: blue.png]"
        page.locator("#sees summary").click()
        expect(page.locator("#sees-strip .picture b")).to_have_text(["image 0", "image 1"])
