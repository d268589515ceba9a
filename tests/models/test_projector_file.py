"""A projector that was trained alone: where it is found, and what of a file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from triptych.core.errors import ModelError, NotFoundError
from triptych.models.disk.projector_file import load_projector, open_projector


def connecting() -> nn.Module:
    connects = nn.Module()
    connects.linear_1, connects.linear_2 = nn.Linear(3, 4), nn.Linear(4, 4)
    return connects


def learnt() -> dict[str, Tensor]:
    return {f"model.multi_modal_projector.{name}": weight for name, weight in connecting().state_dict().items()}


def test_an_empty_file_is_refused_in_a_line(tmp_path: Path) -> None:
    for name in ("empty.bin", "empty.safetensors"):
        (tmp_path / name).touch()
        with pytest.raises(ModelError, match=rf"{name} holds no weights that can be read: \w") as refusal:
            open_projector(connecting(), str(tmp_path / name), kind="mlp")
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["model.mm_projector.0.weight", "model.mm_projector.2.bias", "model.image_newline"])
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_numbers_that_are_not_finite_are_refused(name: str, number: str, tmp_path: Path) -> None:
    held = {
        "model.mm_projector.0.weight": torch.ones(4, 3, dtype=torch.float16),
        "model.mm_projector.0.bias": torch.ones(4),
        "model.mm_projector.2.weight": torch.ones(4, 4),
        "model.mm_projector.2.bias": torch.ones(4),
        "model.image_newline": torch.ones(4),
        "model.norm.weight": torch.full((4,), float("nan")),  # none of ours
    }
    torch.save(held, tmp_path / "mm_projector.bin")
    load_projector(connecting(), tmp_path / "mm_projector.bin")
    held[name].flatten()[-1] = float(number)
    torch.save(held, tmp_path / "mm_projector.bin")
    before = connecting()
    kept = {key: weight.clone() for key, weight in before.state_dict().items()}
    with pytest.raises(ModelError, match=rf"mm_projector\.bin: {name} holds numbers that are not finite"):
        load_projector(before, tmp_path / "mm_projector.bin")
    assert all(torch.equal(weight, kept[key]) for key, weight in before.state_dict().items())


def test_a_folders_old_weights_lend_their_projector(tmp_path: Path) -> None:
    weights = learnt()
    torch.save(weights | {"lm_head.weight": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text("{}")
    connects = connecting()
    assert open_projector(connects, str(tmp_path), kind="mlp") == tmp_path / "pytorch_model.bin"
    assert torch.equal(connects.linear_1.weight, weights["model.multi_modal_projector.linear_1.weight"])


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("under", ["", "model"])
def test_weights_in_several_files_lend_their_projector(kind: str, under: str, tmp_path: Path) -> None:
    folder, weights = tmp_path / under, learnt()
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    stem, ending = kind.split(".")
    first, second = (f"{stem}-0000{number}-of-00002.{ending}" for number in (1, 2))
    write = save_file if ending == "safetensors" else torch.save
    write({"lm_head.weight": torch.ones(2)}, folder / first)
    write(weights, folder / second)
    index = {"weight_map": {"lm_head.weight": first, **dict.fromkeys(weights, second)}}
    (folder / f"{kind}.index.json").write_text(json.dumps(index))
    connects = connecting()
    assert open_projector(connects, str(tmp_path), kind="mlp") == folder / second
    assert torch.equal(connects.linear_1.weight, weights["model.multi_modal_projector.linear_1.weight"])
    index["weight_map"][min(weights)] = first
    (folder / f"{kind}.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=f"its projector is in {first} and {second}"):
        open_projector(connecting(), str(tmp_path), kind="mlp")
    (folder / f"{kind}.index.json").write_text('{"weight_map": {"lm_head.weight": "a"}}')
    with pytest.raises(NotFoundError, match="no file of a projector"):
        open_projector(connecting(), str(tmp_path), kind="mlp")
