"""What score heads promise in every family: they read alike in packs, learn what is planted, and are saved with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.models.pictures import draw_pictures, pixels_of
from triptych.core import plugins
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.batch import Batch, collate
from triptych.data.plan.rendering import encode
from triptych.data.plan.scoring import Read, Scoring
from triptych.data.template import Encoded
from triptych.models.family import Family, Model, open_model
from triptych.models.heads import ScoreHead
from triptych.train.loss import score_loss

FAMILIES = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
SAMPLES = {f"{family}-{name}": make for family, found in FAMILIES.items() for name, make in found.samples.items()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4)


@pytest.mark.parametrize("make", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("read", ["last", "each"])
def test_a_score_head_reads_alike_in_packs_learns_and_is_saved(
    make: Callable[[int], Model], read: Read, pictures: tuple[ImageRef, ...], tmp_path: Path
) -> None:
    model = make(0)
    model.network.requires_grad_(False)
    scoring = Scoring(targets=("any", "count"), read=read)
    head = ScoreHead(scoring, model.network.config.get_text_config().hidden_size, seed=1)
    model.score_head = head
    rows = _rows(model, scoring, pictures)
    batch = collate([rows], pad_id=rows[0].ids[0])
    with torch.no_grad():
        packed_NSH = _read(model, batch)
        alone_NSH = torch.cat([_read(model, collate([[row]], pad_id=0)) for row in rows])
    assert torch.allclose(packed_NSH, alone_NSH, atol=1e-4)
    noise = (packed_NSH - alone_NSH).abs().max()
    assert (packed_NSH[0] - packed_NSH[1]).abs().max() > 20 * noise, "which picture it is changes nothing"
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def learn() -> Tensor:
        optimizer.zero_grad()
        loss = score_loss(head(packed_NSH), batch.targets_NS, loss="mse", step_targets=batch.supervised)
        loss.backward()
        return loss

    optimizer.step(learn)
    assert learn().item() < 0.05 * batch.targets_NS.var(dim=0).mean().item()
    model.save(tmp_path / "saved")
    opened = open_model(tmp_path / "saved")
    assert opened.score_head is not None
    assert opened.score_head.scoring == scoring
    with torch.no_grad():
        assert torch.allclose(opened.score_head(_read(opened, batch)), head(packed_NSH), atol=1e-4)


def _rows(model: Model, scoring: Scoring, pictures: tuple[ImageRef, ...]) -> list[Encoded]:
    """Return questions about 0 to 3 pictures, with their number and whether there is any."""
    rows = []
    for number, images in enumerate((pictures[:1], pictures[1:2], pictures[:3], pictures[2:], ())):
        question = Example(f"row-{number}", (Turn("user", (Text("See "), *images, Text(" ?"))),))
        labels = (("any", float(bool(images))), ("count", float(len(images))))
        found = encode(replace(question, labels=labels), replace(model.rendering, scored=scoring))
        assert isinstance(found, Encoded), found
        rows.append(found)
    return rows


def _read(model: Model, batch: Batch) -> Tensor:
    """Return the states_NSH that a score head reads."""
    hidden_BTH = model.hidden(model.weave(batch, model.encode(pixels_of(model, batch.images))))
    return hidden_BTH[batch.reads_NS2[..., 0], batch.reads_NS2[..., 1]]
