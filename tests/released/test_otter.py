"""Otter beside its released code (``otter.json``, by ``make_otter.py``): network, data set, labels, loss, replies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.released.flamingo_folders import (
    CLOSE,
    Said,
    batch_of,
    loss_of,
    otters,
    pixels,
    rendered,
    rows_of,
    same_logits,
    same_rows,
    write_rows,
)
from tests.released.making import made_of
from triptych.core.records import Example, ImageRef, images_of, replace_parts
from triptych.data.media.images import load_image
from triptych.models.families.flamingo import FlamingoModel
from triptych.models.flamingo.config import OtterConfig
from triptych.models.flamingo.network import OtterForConditionalGeneration

SAID = made_of("otter")
NETWORKS: dict[str, Said] = SAID["networks"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FlamingoModel]:
    return otters(tmp_path_factory.mktemp("otters"), SAID)


@pytest.fixture(scope="module")
def instructions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows") / "X", SAID)


def trained_cases(*batches: str) -> list[tuple[str, str]]:
    return [(kind, name) for kind, said in NETWORKS.items() for name in said["trained"] if name in batches]


# The network


def test_names_and_shapes_of_the_published_size() -> None:
    """Resampler and cross-attention without one size said: depth, latents and heads of the published folders."""
    config = NETWORKS["llama"]["config"]
    vision = config["vision_config"] | {"hidden_size": 1024}
    with torch.device("meta"):
        network = OtterForConditionalGeneration(
            OtterConfig(vision_config=vision, text_config=config["text_config"], max_num_frames=128)
        )
    shapes = {name: list(weight.shape) for name, weight in network.state_dict().items()}
    assert {name: shapes[name] for name in shapes if "perceiver" in name or "gated" in name} == SAID["published"]


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_folder_opens_with_its_tokens_and_template(models: dict[str, FlamingoModel], kind: str) -> None:
    model, tokens = models[kind], NETWORKS[kind]["tokens"]
    assert {token: model.tokenizer.convert_tokens_to_ids(token) for token in tokens} == tokens
    assert model.image_token_id == tokens["<image>"]
    assert model.template.name == "otter"


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", SAID["seen"])
@torch.no_grad()
def test_logits(models: dict[str, FlamingoModel], kind: str, name: str) -> None:
    _, frames, names = SAID["seen"][name]
    said = NETWORKS[kind]["seen"][name]
    model = models[kind]
    seen = films(model, frames, names)
    ids_BT = torch.tensor([said["ids"]])
    same_logits(model.network(ids_BT, seen).logits, said["logits"], torch.ones_like(ids_BT))


@pytest.mark.parametrize("kind", ["llama", "mpt", "llama_video"])
def test_greedy_replies_with_a_cache_are_the_released_ones_without(models: dict[str, FlamingoModel], kind: str) -> None:
    """With a cache, the released Llama forgets its images after the reply's first token; here it does not."""
    model = models[kind]
    model.network.generation_config.eos_token_id = None
    forgot = []
    for name, (_, frames, names) in SAID["seen"].items():
        said = NETWORKS[kind]["seen"][name]
        ids_BT, seen = torch.tensor([said["ids"]]), films(model, frames, names)
        made_BT: Tensor = model.network.generate(
            input_ids=ids_BT, pixel_values=seen, max_length=ids_BT.shape[1] + 8, attention_mask=torch.ones_like(ids_BT)
        )
        assert made_BT[0, ids_BT.shape[1] :].tolist() == said["greedy"], name
        forgot.append(said["greedy"] != said["forgetful"])
    assert any(forgot)


# The data set, and a step of training


@pytest.mark.parametrize(("kind", "name"), trained_cases("one", "shown", "text"))
def test_ids_and_labels_of_the_data_set(
    models: dict[str, FlamingoModel], instructions: Path, kind: str, name: str
) -> None:
    said = NETWORKS[kind]["trained"][name]
    same_rows(rendered(models[kind], rows_of(instructions, name), "otter_simple"), said)


@pytest.mark.parametrize("kind", ["llama", "mpt"])
@pytest.mark.parametrize("name", ["one", "shown"])
def test_ids_of_the_other_formats(models: dict[str, FlamingoModel], instructions: Path, kind: str, name: str) -> None:
    rows = rendered(models[kind], rows_of(instructions, name), "otter_llama2")
    assert [list(row.ids) for row in rows] == NETWORKS[kind]["other_forms"]["llama2"][name]


@pytest.mark.parametrize("kind", NETWORKS)
def test_frames_are_one_medium_where_the_model_has_embeddings_for_several(
    models: dict[str, FlamingoModel], instructions: Path, kind: str
) -> None:
    """No published folder says it."""
    model = models[kind]
    batch = batch_of(rendered(model, rows_of(instructions, "video"), "otter_simple"), packed=False)
    features = model.encode([model.pixels(load_image(image)) for image in batch.images])
    beside = model.weave(batch, features).extra_inputs
    assert len(batch.slots) == 4
    assert beside["media"].shape[1] == (1 if kind == "llama_video" else 4)
    assert int(beside["sees"][0, -1].sum()) == 1


@pytest.mark.parametrize(("kind", "name"), trained_cases("pair", "video"))
@pytest.mark.parametrize("packed", [False, True])
@torch.no_grad()
def test_images_of_one_medium_have_one_mark_and_the_released_loss(
    models: dict[str, FlamingoModel], instructions: Path, kind: str, name: str, packed: bool
) -> None:
    """In the released code a row's images are always one medium; here where the configuration says so."""
    model, said = models[kind], NETWORKS[kind]["trained"][name]
    config = model.network.config
    usual, config.adjacent_images_are_frames = config.adjacent_images_are_frames, True
    examples = [only(row, kept) for row, kept in zip(rows_of(instructions, name), places_in(name), strict=True)]
    rows = rendered(model, examples, "otter_simple")
    same_rows(rows, said)
    assert loss_of(model, batch_of(rows, packed=packed)) == pytest.approx(said["loss"], abs=2e-5)
    config.adjacent_images_are_frames = usual


@pytest.mark.parametrize(("kind", "name"), trained_cases("one", "pair", "rounds", "video"))
def test_pictures(models: dict[str, FlamingoModel], kind: str, name: str) -> None:
    said = NETWORKS[kind]["trained"][name]
    seen = pixels(models[kind], SAID, [*chain(*shown_in(name))])
    assert seen is not None
    values = seen.flatten()
    assert torch.allclose(values[:: values.numel() // 40], torch.tensor(said["pixels"]), **CLOSE)


@pytest.mark.parametrize(("kind", "name"), trained_cases("one", "pair", "rounds", "video", "text"))
def test_loss_logits_and_gradients_of_a_released_batch(models: dict[str, FlamingoModel], kind: str, name: str) -> None:
    said, network = NETWORKS[kind]["trained"][name], models[kind].network
    ids_BT, mask_BT, labels_BT = (torch.tensor(said[key]) for key in ("ids", "mask", "labels"))
    media = shown_in(name)
    seen = pixels(models[kind], SAID, [*chain(*media)])
    network.zero_grad()
    found = network(
        ids_BT,
        None if seen is None else seen.unflatten(0, (len(media), -1)),
        attention_mask=mask_BT,
        labels=labels_BT,
    )
    found.loss.backward()
    assert found.loss.item() == pytest.approx(said["loss"], abs=2e-5)
    same_logits(found.logits, said["logits"], mask_BT)
    for weight, norm in said["grads"].items():
        grad = network.get_parameter(weight).grad
        assert (0.0 if grad is None else grad.norm().item()) == pytest.approx(norm, rel=1e-4)
    network.zero_grad()


@pytest.mark.parametrize(("kind", "name"), trained_cases("one", "text"))
@pytest.mark.parametrize("packed", [False, True])
@torch.no_grad()
def test_the_loss_that_triptych_trains_by(
    models: dict[str, FlamingoModel], instructions: Path, kind: str, name: str, packed: bool
) -> None:
    rows = rendered(models[kind], rows_of(instructions, name), "otter_simple")
    loss = loss_of(models[kind], batch_of(rows, packed=packed))
    assert loss == pytest.approx(NETWORKS[kind]["trained"][name]["loss"], abs=2e-5)


def films(model: FlamingoModel, frames: int, names: list[str]) -> Tensor | None:
    """Return pictures as media of so many frames, NFCHW; None: there are none."""
    seen = pixels(model, SAID, names)
    return None if seen is None else seen.unflatten(0, (-1, frames))


def shown_in(batch: str) -> list[list[str]]:
    """Return the pictures of each row of a batch: one medium, as the released data set has it."""
    _, names = SAID["groups"][batch]
    films = [SAID["rows"][name][2] for name in names]
    films = [[film[at] for at in kept] for film, kept in zip(films, places_in(batch), strict=True)]
    return [film for film in films if film]


def places_in(batch: str) -> list[list[int]]:
    """Return which of its pictures the released data set shows of each row: all, but three frames of a video."""
    group, names = SAID["groups"][batch]
    counts = [len(SAID["rows"][name][2]) for name in names]
    if group == "VIDEO_TEXT":
        return [[int(at) for at in torch.linspace(0, count - 1, 3)] for count in counts]
    return [list(range(count)) for count in counts]


def only(example: Example, kept: Sequence[int]) -> Example:
    """Return a row with these of its pictures."""
    images = images_of(example)
    shown = [images[at] for at in kept]
    return replace_parts(example, lambda part: (part,) if not isinstance(part, ImageRef) or part in shown else ())
