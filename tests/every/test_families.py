"""What every family promises, tried on toy models of every family in the drawer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForImageTextToText, AutoProcessor

from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of
from triptych.core import plugins
from triptych.core.records import Example, ImageRef, Text, Turn, images_of
from triptych.data.batch import IGNORE, Batch, BatchSlot, collate
from triptych.models.family import Family, Model, open_model

FAMILIES = {name: plugins.find("family", name, Family) for name in plugins.names("family")}
SAMPLES = {f"{family}-{name}": make for family, found in FAMILIES.items() for name, make in found.samples.items()}


@pytest.fixture(scope="module", params=sorted(SAMPLES))
def make(request: pytest.FixtureRequest) -> Callable[[int], Model]:
    return SAMPLES[request.param]


@pytest.fixture(scope="module")
def model(make: Callable[[int], Model]) -> Model:
    return make(0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4)


@pytest.fixture(scope="module")
def examples(pictures: tuple[ImageRef, ...]) -> list[Example]:
    first, second, third, _ = pictures
    again = (Turn("user", (Text("and "), first, Text("?"))), Turn("assistant", (Text("the same"),)))
    several = ask("several", first, "Here stand ", second, third, reply="three")
    return [
        ask("middle", "Is ", first, " older than ", second, "?", reply="yes"),
        ask("words", "What is two and two?", reply="four"),
        replace(several, turns=several.turns + again),
    ]


def test_every_family_has_toy_models_to_be_tested_with() -> None:
    assert [name for name, family in FAMILIES.items() if not family.samples] == []


def test_no_two_families_open_the_same_model_type() -> None:
    claimed = [model_type for family in FAMILIES.values() for model_type in family.model_types]
    assert len(claimed) == len(set(claimed))


def test_an_image_costs_exactly_as_many_tokens_as_are_announced(model: Model, pictures: tuple[ImageRef, ...]) -> None:
    features_NPC = model.encode(pixels_of(model, pictures))
    tokens_NKH = model.project(features_NPC)
    assert features_NPC.shape == (4, *model.feature_shape())
    assert features_NPC.dtype == torch.float32
    assert {model.count_image_tokens(image) for image in pictures} == {tokens_NKH.shape[1]}


def test_equal_seeds_give_equal_weights_and_other_seeds_do_not(make: Callable[[int], Model], model: Model) -> None:
    same, other = make(0).network.state_dict(), make(1).network.state_dict()
    own = model.network.state_dict()
    assert all(torch.equal(own[name], same[name]) for name in own)
    assert not all(torch.equal(own[name], other[name]) for name in own)


def test_the_order_of_images_matters(model: Model, pictures: tuple[ImageRef, ...]) -> None:
    first, second, *_ = pictures
    there = logits_of(model, _batch(model, [[ask("a", "1 ", first, " 2 ", second, reply="yes")]]))
    back = logits_of(model, _batch(model, [[ask("a", "1 ", second, " 2 ", first, reply="yes")]]))
    assert not torch.allclose(there, back, atol=1e-3)


def test_packed_conversations_have_the_logits_they_have_alone(model: Model, examples: list[Example]) -> None:
    with torch.no_grad():
        packed_TV = logits_of(model, _batch(model, [examples]))[0]
        alone = [logits_of(model, _batch(model, [[example]]))[0] for example in examples]
    assert torch.allclose(packed_TV, torch.cat(alone), atol=1e-4)


def test_rows_of_a_batch_have_the_logits_they_have_alone(model: Model, examples: list[Example]) -> None:
    with torch.no_grad():
        rows_BTV = logits_of(model, _batch(model, [[example] for example in examples]))
        alone = [logits_of(model, _batch(model, [[example]]))[0] for example in examples]
    assert all(torch.allclose(row[: len(own)], own, atol=1e-4) for row, own in zip(rows_BTV, alone, strict=True))


def test_packed_conversations_give_the_gradients_they_give_alone(
    make: Callable[[int], Model], examples: list[Example]
) -> None:
    packed, alone = make(0), make(0)
    _loss(packed, _batch(packed, [examples])).backward()
    for example in examples:
        _loss(alone, _batch(alone, [[example]])).backward()
    got, expected = _gradients(packed), _gradients(alone)
    assert got.keys() == expected.keys()
    assert {name.split(".")[1] for name in got} >= {"multi_modal_projector", "language_model"}
    far = [name for name, slope in got.items() if not torch.allclose(slope, expected[name], rtol=1e-3, atol=1e-4)]
    assert far == []


def test_what_one_conversation_says_never_changes_its_neighbour(
    model: Model, examples: list[Example], pictures: tuple[ImageRef, ...]
) -> None:
    first, *neighbours = examples
    assert len(images_of(first)) == 2
    other = ask("middle", "Be ", pictures[3], " OLDER THAN ", pictures[2], "!", reply="no!")
    start = len(encoded(model, first).ids)
    assert len(encoded(model, other).ids) == start
    with torch.no_grad():
        before = logits_of(model, _batch(model, [[first, *neighbours]]))[0]
        after = logits_of(model, _batch(model, [[other, *neighbours]]))[0]
    assert torch.allclose(before[start:], after[start:], atol=1e-6)
    assert not torch.allclose(before[:start], after[:start], atol=1e-2)


def test_the_mask_alone_keeps_neighbours_apart(model: Model, examples: list[Example]) -> None:
    batch = _batch(model, [[examples[1], examples[1]]])
    start = len(encoded(model, examples[1]).ids)
    embeds_BTH = model.embed(batch.ids_BT, batch.slots, None)
    other_BTH = embeds_BTH.clone()
    other_BTH[:, :start] = 1.0
    segments_BT = batch.segments_BT
    with torch.no_grad():
        before = model.hidden(embeds_BTH, segments_BT=segments_BT, positions_BT=None)
        after = model.hidden(other_BTH, segments_BT=segments_BT, positions_BT=None)
    assert torch.equal(before[:, start:], after[:, start:])
    assert not torch.allclose(before[:, :start], after[:, :start], atol=1e-2)


def test_a_conversation_without_images_needs_none(model: Model, examples: list[Example]) -> None:
    batch = _batch(model, [[examples[1]]])
    assert batch.images == ()
    with torch.no_grad():
        expected = model.network(input_ids=batch.ids_BT).logits
        assert torch.allclose(logits_of(model, batch), expected, atol=1e-4)


def test_the_pieces_are_the_networks_own_forward_pass(model: Model, examples: list[Example]) -> None:
    batch = _batch(model, [[examples[0]]])
    with torch.no_grad():
        expected = model.network(input_ids=batch.ids_BT, pixel_values=pixels_of(model, batch.images)).logits
        assert torch.allclose(logits_of(model, batch), expected, atol=1e-4)


def test_a_frozen_tower_gives_no_gradient_and_ignores_training_mode(
    make: Callable[[int], Model], pictures: tuple[ImageRef, ...]
) -> None:
    model = make(0)
    pixels_NCHW = pixels_of(model, pictures)
    before = model.encode(pixels_NCHW)
    model.network.train()
    buffers = {name: value.clone() for name, value in model.network.named_buffers()}
    assert torch.equal(model.encode(pixels_NCHW), before)
    assert all(torch.equal(value, buffers[name]) for name, value in model.network.named_buffers())
    assert model.encode(pixels_NCHW).requires_grad
    model.parts()["vision"].requires_grad_(False)
    assert not model.encode(pixels_NCHW).requires_grad


def test_the_parts_are_the_whole_network_and_share_nothing(model: Model) -> None:
    parts = model.parts()
    assert set(parts) == {"vision", "projector", "language"}
    counted = [id(weight) for part in parts.values() for weight in part.parameters()]
    assert len(counted) == len(set(counted))
    assert set(counted) == {id(weight) for weight in model.network.parameters()}


def test_a_saved_folder_opens_in_plain_transformers_with_equal_logits(
    model: Model, examples: list[Example], tmp_path: Path
) -> None:
    model.save(tmp_path / "saved")
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "saved").eval()
    assert type(plain) is type(model.network)
    batch = _batch(model, [[examples[0]]])
    pixels_NCHW = pixels_of(model, batch.images)
    with torch.no_grad():
        expected = model.network(input_ids=batch.ids_BT, pixel_values=pixels_NCHW).logits
        assert torch.equal(plain(input_ids=batch.ids_BT, pixel_values=pixels_NCHW).logits, expected)
    assert not list((tmp_path / "saved").glob("*.py"))
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_saved_folder_opens_here_as_the_same_model(model: Model, examples: list[Example], tmp_path: Path) -> None:
    model.save(tmp_path / "saved")
    opened = open_model(tmp_path / "saved")
    assert (opened.template, opened.image_token_id) == (model.template, model.image_token_id)
    assert opened.fingerprint() == model.fingerprint()
    assert opened.family == model.family
    own, restored = model.network.state_dict(), opened.network.state_dict()
    assert own.keys() == restored.keys()
    assert all(torch.equal(own[name], restored[name]) for name in own)
    assert [encoded(opened, example) for example in examples] == [encoded(model, example) for example in examples]


def test_saving_again_replaces_what_was_saved(make: Callable[[int], Model], tmp_path: Path) -> None:
    make(0).save(tmp_path / "saved")
    (tmp_path / "saved" / "notes.txt").write_text("keep me")
    later = make(1)
    later.save(tmp_path / "saved")
    assert open_model(tmp_path / "saved").fingerprint() == later.fingerprint()
    assert (tmp_path / "saved" / "notes.txt").read_text() == "keep me"


def test_the_saved_processor_makes_the_ids_and_pixels_that_we_make(
    model: Model, examples: list[Example], tmp_path: Path
) -> None:
    model.save(tmp_path / "saved")
    processor = AutoProcessor.from_pretrained(tmp_path / "saved")
    question = replace(examples[0], turns=examples[0].turns[:1])
    messages = [
        {
            "role": turn.role,
            "content": [
                {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
                for part in turn.parts
            ],
        }
        for turn in question.turns
    ]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
    pictures = [Image.open(image.source) for image in images_of(question)]
    made = processor(text=prompt, images=pictures, return_tensors="pt")
    assert made["input_ids"][0].tolist() == list(encoded(model, question, open_reply=True).ids)
    assert torch.equal(made["pixel_values"], pixels_of(model, images_of(question)))


def test_generation_by_transformers_is_our_greedy_loop(model: Model, examples: list[Example]) -> None:
    question = replace(examples[0], turns=examples[0].turns[:1])
    batch = collate([[encoded(model, question, open_reply=True)]], pad_id=0)
    pixels_NCHW = pixels_of(model, batch.images)
    length = batch.ids_BT.shape[1]
    with torch.no_grad():
        made = model.network.generate(
            input_ids=batch.ids_BT, pixel_values=pixels_NCHW, max_new_tokens=8, do_sample=False
        )
        assert made[0, length:].tolist() == _greedy(model, batch, pixels_NCHW, limit=8)


def test_generation_ends_with_the_templates_stop(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "saved")
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "saved")
    stop = model.tokenizer.convert_tokens_to_ids(model.template.stop)
    assert plain.generation_config.eos_token_id == stop


def test_the_fingerprint_follows_the_tower_and_nothing_else(make: Callable[[int], Model]) -> None:
    model = make(0)
    before = model.fingerprint()
    assert make(0).fingerprint() == before
    with torch.no_grad():
        next(model.parts()["projector"].parameters()).add_(1.0)
        next(model.parts()["language"].parameters()).add_(1.0)
    assert model.fingerprint() == before
    with torch.no_grad():
        next(model.parts()["vision"].parameters()).add_(1.0)
    assert model.fingerprint() != before


def _batch(model: Model, packs: list[list[Example]]) -> Batch:
    return collate([[encoded(model, example) for example in pack] for pack in packs], pad_id=0)


def _loss(model: Model, batch: Batch) -> Tensor:
    logits_BTV = logits_of(model, batch)[:, :-1]
    return cross_entropy(
        logits_BTV.flatten(0, 1), batch.labels_BT[:, 1:].flatten(), ignore_index=IGNORE, reduction="sum"
    )


def _gradients(model: Model) -> dict[str, Tensor]:
    return {name: weight.grad for name, weight in model.network.named_parameters() if weight.grad is not None}


def _greedy(model: Model, batch: Batch, pixels_NCHW: Tensor, *, limit: int) -> list[int]:
    tokens_NKH = model.project(model.encode(pixels_NCHW))
    slots: tuple[BatchSlot, ...] = batch.slots
    ids_BT, said = batch.ids_BT, []
    stop = model.tokenizer.convert_tokens_to_ids(model.template.stop)
    while len(said) < limit and stop not in said:
        embeds_BTH = model.embed(ids_BT, slots, tokens_NKH)
        hidden_BTH = model.hidden(embeds_BTH, segments_BT=None, positions_BT=None)
        said.append(int(model.head(hidden_BTH[:, -1]).argmax()))
        ids_BT = torch.cat([ids_BT, torch.tensor([[said[-1]]])], dim=1)
    return said
