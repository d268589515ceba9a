"""What the demo does before it trains leaves a folder that a run may begin in, and is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.cli import demo, starter
from triptych.train.claim import RECORDS, refuse_foreign


def test_a_run_may_begin_where_the_demo_has_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Path] = []

    def draw(data: Path, **_: object) -> None:
        drawn.append(data)
        data.mkdir(parents=True)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(starter, "write_storyboard", draw)
    for _ in range(2):
        demo.draw_once(demo.RUN / "data", seed=1, costs=demo.RUN / demo.DRAWN)
    assert drawn == [demo.RUN / "data"]
    assert demo.DRAWN not in RECORDS
    refuse_foreign(demo.RUN)
    costs = demo.stage_costs(demo.RUN / demo.DRAWN, demo.RUN / "metrics.jsonl")
    assert list(costs["wall_s"]) == ["draw"]  # type: ignore[arg-type]
