"""Mantis' own code on a tiny Idefics3, and ours: ids, what is learnt, tiles, features, logits, losses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.models.pictures import pixels_of
from tests.released.idefics2s import same, seen_rows, write_chats, write_weights
from tests.released.idefics3s import TILE, write_folder
from tests.released.making import made_of
from triptych.core.records import Example
from triptych.data.batch import collate
from triptych.data.format import load_examples
from triptych.data.plan.rendering import tokens_of
from triptych.models.family import Model, open_model

RELEASED = made_of("idefics3")
CASES: dict[str, Any] = RELEASED["cases"]
NAMES = [chat["id"] for chat in RELEASED["chats"]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mantis")
    write_chats(made, RELEASED)
    return made


@pytest.fixture(scope="module")
def chats(place: Path) -> dict[str, Example]:
    return {each.id: each for each in load_examples(f"mantis:{place / 'chat.json'}", on_bad="raise").examples}


@pytest.fixture(scope="module")
def models(place: Path) -> dict[str, Model]:
    """Return models that bring every picture to so many tiles on its longest side."""
    found = {}
    for tiles in CASES:
        folder = write_folder(place / tiles, longest=int(tiles) * TILE)
        write_weights(folder, RELEASED["weights"])
        (folder / "triptych.json").write_text('{"template": "mantis_idefics_3"}')
        found[tiles] = open_model(folder)
    return found


@pytest.mark.parametrize("tiles", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_a_conversation_is_to_ours_what_it_is_there(
    tiles: str, name: str, models: Mapping[str, Model], chats: Mapping[str, Example]
) -> None:
    model, row = models[tiles], CASES[tiles]["rows"][NAMES.index(name)]
    ours = tokens_of(chats[name], model.rendering)
    ids = [each for each, count in row["runs"] for _ in range(count)]
    assert list(ours.ids) == ids
    assert [at for at, learnt in enumerate(ours.trained) if learnt] == row["learnt"]
    batch = collate([[ours]], pad_id=0)
    pictures = pixels_of(model, batch.images)
    with torch.no_grad():
        features = model.encode(pictures)
        if features:
            shown = torch.cat([pictures[slot.image].values for slot in batch.slots])
            same(seen_rows(shown.flatten(1), 3), row["pixels"])
            tokens = model.project(features)
            parts = [tokens[slot.image].unflatten(0, (-1, 169)).flatten(1) for slot in batch.slots]
            same(seen_rows(torch.cat(parts), 3), row["features"])
        logits_TV = model.head(model.hidden(model.weave(batch, features)))[0]
    words = [at for at, each in enumerate(ids) if each != model.image_token_id]
    same(seen_rows(logits_TV[words]), row["logits"])
    # There what is not learnt is learnt as an image token: it was meant to be left out, and the loss takes it.
    wanted = [each if learnt else model.image_token_id for each, learnt in zip(ids, ours.trained, strict=True)]
    assert cross_entropy(logits_TV[:-1], torch.tensor(wanted[1:])).item() == pytest.approx(row["loss"], rel=1e-4)
