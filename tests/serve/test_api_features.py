"""What towers made of pictures is kept up to a limit, and comes out the same whatever was thrown away."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.models.pictures import draw_pictures
from triptych.models.families.tiny import tiny
from triptych.models.vision.features import FeatureStore
from triptych.serve.api.features import BoundedFeatures


@pytest.mark.parametrize("by", ["bytes", "pictures"])
def test_a_store_that_is_full_begins_anew_and_says_the_same(tmp_path: Path, by: str) -> None:
    model = tiny(3)
    model.network.requires_grad_(False)
    pictures = draw_pictures(tmp_path / "pictures", 10)
    wanted = FeatureStore(model).features(pictures)
    most = 3 * wanted[0].values.nbytes
    folder = tmp_path / "features"
    bounded = (
        BoundedFeatures(model, folder, most_bytes=most)
        if by == "bytes"
        else BoundedFeatures(model, folder, most_bytes=1 << 30, most_pictures=3)
    )
    for _ in range(2):
        for picture, seen in zip(pictures, wanted, strict=True):
            (found,) = bounded.features([picture])
            torch.testing.assert_close(found.values, seen.values)
            assert len(list(folder.rglob("*.safetensors"))) <= 3
