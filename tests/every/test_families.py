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
from transformers import AutoModelForImageTextToText

from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of
from triptych.core import plugins
from triptych.core.records import Example, ImageRef, Text, Turn, images_of
from triptych.data.batch import IGNORE, Batch, collate, pad_left
from triptych.data.template import stop_id
from triptych.infer.decoding.decode import decode
from triptych.models.family import Family, Model, open_model

FAMILIES = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
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
        # No word right behind an image: some processors of transformers write a space there.
        ask("middle", "Is ", first, " older than ", second, " ?", reply="yes"),
        ask("words", "What is two and two?", reply="four"),
        replace(several, turns=several.turns + again),
    ]


def test_every_family_has_toy_models_to_be_tested_with() -> None:
    assert [name for name, family in FAMILIES.items() if not family.samples] == []


def test_no_two_families_open_the_same_model_type() -> None:
    claimed = [model_type for family in FAMILIES.values() for model_type in family.model_types]
    assert len(claimed) == len(set(claimed))


def test_an_image_costs_exactly_as_many_tokens_as_are_announced(model: Model, pictures: tuple[ImageRef, ...]) -> None:
    features = model.encode(pixels_of(model, pictures))
    assert {seen.values.dtype for seen in features} == {torch.float32}
    assert [seen.size for seen in features] == [image.size for image in pictures]
    if not model.splices:
        return
    lengths = [len(tokens_KH) for tokens_KH in model.project(features)]
    assert lengths == [model.cost.tokens(image.size or (1, 1)) for image in pictures]


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 3)])
def test_the_smallest_pictures_cost_what_is_announced(model: Model, size: tuple[int, int]) -> None:
    seen = model.pixels(Image.new("RGB", size, "orange"))
    assert seen.size == size
    with torch.no_grad():
        (tokens_KH,) = model.project(model.encode([seen]))
    assert tokens_KH.isfinite().all()
    assert not model.splices or len(tokens_KH) == model.cost.tokens(size)


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
    trained = {id(weight) for part in ("projector", "language") for weight in packed.parts()[part].parameters()}
    assert any(weight.grad is not None for weight in packed.parts()["projector"].parameters())
    silent = [name for name, weight in packed.network.named_parameters() if id(weight) in trained and name not in got]
    assert len(silent) <= len(got) // 10, f"gradients reach few weights: {silent[:5]}"
    far = [name for name, slope in got.items() if not torch.allclose(slope, expected[name], rtol=1e-3, atol=1e-4)]
    assert far == []


def test_what_one_conversation_says_never_changes_its_neighbour(
    model: Model, examples: list[Example], pictures: tuple[ImageRef, ...]
) -> None:
    first, *neighbours = examples
    assert len(images_of(first)) == 2
    other = ask("middle", "Be ", pictures[3], " OLDER THAN ", pictures[2], " !", reply="no!")
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
    with torch.no_grad():
        woven = model.weave(batch, [])
        other_BTH = woven.embeds_BTH.clone()
        other_BTH[:, :start] = 1.0
        before = model.hidden(woven)
        after = model.hidden(replace(woven, embeds_BTH=other_BTH))
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
        expected = model.network(**model.inputs(batch, pixels_of(model, batch.images))).logits
        assert torch.allclose(logits_of(model, batch), expected, atol=1e-4)


def test_a_frozen_tower_gives_no_gradient_and_ignores_training_mode(
    make: Callable[[int], Model], pictures: tuple[ImageRef, ...]
) -> None:
    model = make(0)
    if not any(True for _ in model.parts()["vision"].parameters()):
        pytest.skip("this family has no tower: pictures go straight into the language model")
    seen = pixels_of(model, pictures)
    before = model.encode(seen)
    model.network.train()
    buffers = {name: value.clone() for name, value in model.network.named_buffers()}
    assert all(torch.equal(one.values, own.values) for one, own in zip(model.encode(seen), before, strict=True))
    assert all(torch.equal(value, buffers[name]) for name, value in model.network.named_buffers())
    assert all(each.values.requires_grad for each in model.encode(seen))
    model.parts()["vision"].requires_grad_(False)
    assert not any(each.values.requires_grad for each in model.encode(seen))


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
    inputs = model.inputs(batch, pixels_of(model, batch.images))
    with torch.no_grad():
        assert torch.equal(plain(**inputs).logits, model.network(**inputs).logits)
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


def test_generation_by_transformers_is_our_greedy_loop(model: Model, examples: list[Example]) -> None:
    questions = [replace(example, turns=example.turns[:1]) for example in examples]
    stop = stop_id(model.template, model.tokenizer)
    batch = collate([[encoded(model, question, open_reply=True)] for question in questions], pad_id=stop)
    seen = pixels_of(model, batch.images)
    replies: list[list[int]] = [[] for _ in questions]
    with torch.no_grad():
        for step in decode(model, model.weave(pad_left(batch), model.encode(seen)), stops={stop}, max_tokens=8):
            for row, token in zip(step.rows, step.ids, strict=True):
                replies[row].append(token)
    for question, reply in zip(questions, replies, strict=True):
        alone = collate([[encoded(model, question, open_reply=True)]], pad_id=stop)
        made = model.network.generate(  # type: ignore[operator]
            **model.inputs(alone, pixels_of(model, alone.images)),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=stop,
            pad_token_id=stop,
        )
        assert made[0, alone.ids_BT.shape[1] :].tolist() == reply
    assert len({tuple(reply) for reply in replies}) > 1, "replies that are all alike would prove nothing"


def test_cached_generation_is_what_is_computed_anew_each_time(model: Model, examples: list[Example]) -> None:
    question = replace(examples[0], turns=examples[0].turns[:1])
    stop = stop_id(model.template, model.tokenizer)
    batch = collate([[encoded(model, question, open_reply=True)]], pad_id=stop)
    features = model.encode(pixels_of(model, batch.images))
    with torch.no_grad():
        steps = list(decode(model, model.weave(batch, features), stops={-1}, max_tokens=6))
        said: list[int] = []
        for _ in range(6):
            longer = _with_words(batch, said)
            hidden_BTH = model.hidden(model.weave(longer, features))
            said.append(int(model.head(hidden_BTH[:, -1]).argmax()))
    assert [step.ids[0] for step in steps] == said


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
    weight = next(model.parts()["vision"].parameters(), None)
    if weight is None:  # a family without a tower: the preparation of pictures is all there is
        return
    with torch.no_grad():
        weight.add_(1.0)
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


def _with_words(batch: Batch, ids: list[int]) -> Batch:
    """Return a batch of one conversation with words of a reply behind it."""
    length = batch.ids_BT.shape[1] + len(ids)
    return replace(
        batch,
        ids_BT=torch.cat([batch.ids_BT, torch.tensor([ids], dtype=torch.int64)], dim=1),
        positions_BT=torch.arange(length)[None],
        segments_BT=torch.zeros(1, length, dtype=torch.int64),
    )
