"""The weights of towers and language models are looked at without being read: whole, torn, of another shape, gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.models.published import LANGUAGES, TOWERS, save_language, save_tower
from triptych.models.disk.weight_check import check_part


@pytest.mark.parametrize("name", [*TOWERS, *LANGUAGES])
def test_a_whole_part_is_right_and_a_torn_one_is_told(name: str, tmp_path: Path) -> None:
    sees = name in TOWERS
    folder = save_tower(tmp_path, name) if sees else save_language(tmp_path, LANGUAGES[name])
    found = check_part(folder, sees=sees)
    assert (found.verdict, found.said.startswith("all ")) == ("ok", True), found.said
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert (check_part(folder, sees=sees).verdict, str(folder) in check_part(folder, sees=sees).said) == ("wrong", True)
    weights.unlink()
    assert "its weights are missing" in check_part(folder, sees=sees).said


def test_a_part_of_another_shape_than_its_config_says_is_told(tmp_path: Path) -> None:
    folder = save_language(tmp_path, LANGUAGES["llama-tied"])
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"intermediate_size": 72}))
    found = check_part(folder, sees=False)
    assert found.verdict == "wrong"
    assert "of another shape than config.json says" in found.said
