"""The training page stands alone, says what the run's folder holds, and is there after a stop too."""

from __future__ import annotations

import json
import os
import re
import signal
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.runs import toy_recipe
from triptych.core.errors import DataError, NotFoundError, RunError
from triptych.core.files import append_json_line, read_json_lines
from triptych.core.records import Json
from triptych.train.ledger import LEDGER
from triptych.train.measuring.meters import METRICS, StepReport
from triptych.train.measuring.sessions import SESSIONS
from triptych.train.page.choices import choices_of
from triptych.train.page.curves import POINTS, plots_of, smoothed
from triptych.train.page.page import TRAINING, paged, summary_of, write_training
from triptych.train.page.rows import sources_of
from triptych.train.page.story import read_story
from triptych.train.trainer import Hooks, train


class Words(HTMLParser):
    """Collects a page's tags and words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += f" {data.strip()}" if data.strip() else ""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two stages with a row that is refused, stopped and taken up again."""
    folder = tmp_path_factory.mktemp("run")
    recipe = toy_recipe(folder, ("length: 6 steps", "on_bad: refuse\n    length: 6 steps"), align=True)
    rows = [json.loads(line) for line in (folder / "tune.jsonl").read_text().splitlines()]
    rows[0]["id"] = "<b>too long</b>"
    rows[0]["messages"][1]["content"] = "red and " * 300
    (folder / "tune.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def ask(report: StepReport) -> None:
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    path = folder / "toy"
    with pytest.raises(RunError, match="stopped"), paged(path):
        train(recipe, run=path, hooks=Hooks(after_step=ask))
    words = Words((path / TRAINING).read_text(encoding="utf-8")).words
    assert "Not finished. Its last session was stopped by SIGTERM after step 3 of 6" in words
    with paged(path):
        train(recipe, run=path)
    return path


def test_the_page_tells_stages_parts_rows_sessions_and_choices(run: Path) -> None:
    words = Words((run / TRAINING).read_text(encoding="utf-8")).words
    assert "Finished." in words
    for said in (
        "Stage align", "explained variance", "Stage tune", "Taken up again after step 3.", "Norm of the gradient",
        "frozen", "lora, rank 4, rate 0.01", "Learnt from", "refused: longer than pack tokens", "tune after step 3",
        "stopped by SIGTERM after step 3 of 6", "Environment", "torch", "stages.tune.schedule", "recipe.yaml, complete",
    ):  # fmt: skip
        assert said in words, said
    assert "stages.tune.clip" not in words.partition("recipe.yaml, complete")[0]  # a default


def test_the_page_needs_nothing_else_and_runs_nothing(run: Path) -> None:
    page = (run / TRAINING).read_text(encoding="utf-8")
    tags = Words(page).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object", "foreignobject"}
    assert not [(tag, name) for tag, attributes in tags for name in attributes if name.startswith("on")]
    wanted = [value for _, attributes in tags for name, value in attributes.items() if name in ("href", "src")]
    assert all(str(value).startswith("#") for value in wanted)
    assert "url(http" not in page
    assert "<b>too long</b>" not in page
    assert "&lt;b&gt;too long&lt;/b&gt;" in page


def test_every_drawing_has_words_and_every_link_a_place(run: Path) -> None:
    tags = Words((run / TRAINING).read_text(encoding="utf-8")).tags
    drawings = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(drawings) >= 7
    assert all(each.get("role") == "img" and "steps 1 to 6" in str(each.get("aria-label")) for each in drawings)
    places = {attributes.get("id") for _, attributes in tags}
    links = [str(attributes["href"])[1:] for tag, attributes in tags if tag == "a"]
    assert links
    assert set(links) <= places


def test_the_page_takes_its_colours_from_the_reader(run: Path) -> None:
    page = (run / TRAINING).read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in page
    assert not re.findall(r"#01020\w", page)
    assert 'name="viewport"' in page


def test_sessions_tell_what_moved_and_where_a_run_went_on(run: Path) -> None:
    events = list(read_json_lines(run / SESSIONS))
    assert [event["event"] for event in events] == ["start", "stage", "end", "start", "stage", "end"]
    assert [event["after_step"] for event in events if event["event"] == "stage"] == [0, 3]
    (_, tune) = read_story(run).stages
    moved = {row.part: (row.moved, row.weights) for row in tune.parts}
    assert moved["vision"][0] == 0
    assert moved["projector"][0] == moved["projector"][1]
    assert tune.resumed == (3,)
    assert tune.spent is not None
    assert tune.spent.computing_s > 0
    assert 0 < tune.spent.before_s < tune.spent.computing_s, "half of the steps were done in the first session"


def test_the_time_of_all_counts_what_was_learnt_before_a_stop(run: Path) -> None:
    story = read_story(run)
    written = sum(float(str(each["wall_s"])) for each in read_json_lines(run / METRICS) if "peak_gib" in each)
    spent = next(stage.spent for stage in story.stages if stage.name == "tune")
    assert spent is not None
    assert sum(cost.wall_s for cost in story.costs) == pytest.approx(written + spent.before_s)


def test_a_file_that_is_two_sources_of_a_stage_is_told_twice(tmp_path: Path) -> None:
    one = {"stage": "tune", "source": "llava:x", "all": 5, "used": 4, "refused": 1}
    refused = {"stage": "tune", "source": "llava:x", "where": "row 3", "reason": "empty reply", "message": "row 3: ..."}
    later = refused | {"where": "row 4", "entry": 1, "row": 4, "reason": "image unreadable"}
    rows = sources_of([refused, one, one | {"used": 2, "refused": 3}, later])
    assert [source.states for source in rows] == [{"used": 4, "refused": 1}, {"used": 2, "refused": 3}]
    assert [[reason.what for reason in source.reasons] for source in rows] == [["empty reply"], ["image unreadable"]]


def test_a_finished_run_that_is_asked_again_leaves_its_page(run: Path) -> None:
    written = (run / TRAINING).stat().st_mtime_ns
    with paged(run):
        pass
    assert (run / TRAINING).stat().st_mtime_ns == written


def test_a_killed_run_of_an_older_version_has_a_page_too(tmp_path: Path) -> None:
    for step in range(1, 4):
        append_json_line(
            tmp_path / METRICS, {"stage": "tune", "step": step, "loss_nats": 1 / step, "rate_language": 0.1}
        )
    append_json_line(tmp_path / LEDGER, {"stage": "tune", "source": "llava:x", "all": 5, "used": 5, "refused": 0})
    (tmp_path / "recipe.yaml").write_text("name: old\nsteps: 7\n")
    words = Words(write_training(tmp_path).read_text(encoding="utf-8")).words
    assert "Not finished." in words
    assert "llava:x" in words
    assert "steps: 7" in words


def test_where_nothing_was_trained_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing was trained there"):
        write_training(tmp_path)


def test_a_page_that_cannot_be_written_does_not_hide_why_training_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    def begin_and_end() -> None:
        append_json_line(tmp_path / SESSIONS, {"event": "start", "environment": {}})
        (tmp_path / METRICS).write_text("no json\n")
        raise RunError("the disk is full")

    with pytest.raises(RunError, match="the disk is full"), paged(tmp_path):
        begin_and_end()
    assert "training.html is not written" in capsys.readouterr().err
    with pytest.raises(DataError, match="not JSON"):
        write_training(tmp_path)


def test_a_page_that_cannot_be_written_leaves_a_run_that_came_to_its_end_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with paged(tmp_path):
        append_json_line(tmp_path / SESSIONS, {"event": "start", "environment": {}})
        (tmp_path / METRICS).write_text("no json\n")
    assert "training.html is not written" in capsys.readouterr().err


def test_numbers_that_are_none_are_not_drawn_and_not_summed(tmp_path: Path) -> None:
    lines = ['{"stage": "tune", "step": 1, "loss_nats": 2.0, "gradient_norm": Infinity, "wall_s": 1.0}']
    lines += ['{"stage": "tune", "step": 2, "loss_nats": 1.0, "gradient_norm": NaN, "wall_s": 1.0}', '{"step": 3}']
    (tmp_path / METRICS).write_text("".join(line + "\n" for line in lines))
    words = Words(write_training(tmp_path).read_text(encoding="utf-8")).words
    assert "Loss" in words
    assert "Norm of the gradient" not in words


def test_a_step_without_a_loss_counts_and_leaves_the_curve_of_the_loss_as_it_is(tmp_path: Path) -> None:
    records: list[dict[str, Json]] = [
        {"stage": "tune", "step": step, "trained_tokens": 9, "tokens": 10, "wall_s": 1.0, "gradient_norm": 1.0}
        | ({} if step in (1, 3, 10) else {"loss_nats": step / 10})
        for step in range(1, 11)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (stage,) = read_story(tmp_path).stages
    assert stage.steps == tuple(range(1, 11))
    assert stage.loss_steps == (2, 4, 5, 6, 7, 8, 9)
    assert stage.series["loss_nats"] == (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert (stage.facts, sum(stage.series["tokens"])) == ({}, 100)
    assert dict(summary_of(stage))["steps"] == "10"
    assert [plot.title for plot in plots_of(stage)] == ["Loss", "Norm of the gradient"]


def test_the_axis_of_one_step_has_no_part_of_a_step(tmp_path: Path) -> None:
    append_json_line(tmp_path / METRICS, {"stage": "tune", "step": 7, "loss_nats": 2.5})
    (plot,) = plots_of(read_story(tmp_path).stages[0])
    below = [word for word in re.findall(r">([\d.]+)</text>", plot.svg) if 6 < float(word) < 8]
    assert below == ["7"]


def test_a_long_run_is_drawn_with_few_points(tmp_path: Path) -> None:
    def record(step: int) -> dict[str, Json]:
        return {"stage": "tune", "step": step, "loss_nats": 2 / step}

    (tmp_path / METRICS).write_text("".join(json.dumps(record(step)) + "\n" for step in range(1, 20_001)))
    (stage,) = read_story(tmp_path).stages
    (plot,) = plots_of(stage)
    assert len(plot.svg) < 60 * POINTS * 2
    assert "from 2 to 0.0001" in plot.svg


def test_choices_are_keys_without_a_default_and_values_unlike_it(tmp_path: Path) -> None:
    found = {choice.key: choice for choice in choices_of(toy_recipe(tmp_path))}
    assert found["stages.tune.schedule"].value == "linear"
    assert found["stages.tune.schedule"].default == "cosine"
    assert found["stages.tune.pack_tokens"].default is None
    assert found["stages.tune.parts.language.dropout"].value == "0.1"
    assert not {"stages.tune.clip", "stages.tune.forward_tokens", "log.tensorboard"} & found.keys()


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200))
def test_smoothing_stays_between_the_extremes_and_keeps_the_first(values: list[float]) -> None:
    smooth = smoothed(values)
    assert len(smooth) == len(values)
    assert smooth[0] == pytest.approx(values[0])
    assert np.all(smooth >= min(values) - 1e-6)
    assert np.all(smooth <= max(values) + 1e-6)
