"""Mantis' own code on a tiny Idefics2, and ours: ids, what is learnt, pixels, features, logits, losses, replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from tests.models.pictures import pixels_of
from tests.released.idefics2s import LATENTS, same, seen_rows, write_chats, write_folder, write_weights
from tests.released.making import made_of
from triptych.core.records import Answer, Example, ImageRef
from triptych.data.batch import collate
from triptych.data.format import load_examples
from triptych.data.media.images import load_image
from triptych.data.plan.rendering import prompt_of, tokens_of
from triptych.data.template import Encoded, Slot, parse_reply
from triptych.infer.local import LocalResponder
from triptych.models.family import Model, Seen, open_model
from triptych.models.vision.features import FeatureStore

RELEASED = made_of("idefics2")
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
    found = {}
    for name, case in CASES.items():
        folder = write_folder(place / name, spaces=case["spaces"], split=case["split"])
        write_weights(folder, RELEASED["weights"])
        (folder / "triptych.json").write_text('{"template": "mantis_idefics_2"}')
        found[name] = open_model(folder)
    return found


@pytest.mark.parametrize("case", ["prepend", "split"])
@pytest.mark.parametrize("name", NAMES)
def test_ids_and_what_is_learnt_are_those_of_its_dataset(
    case: str, name: str, models: Mapping[str, Model], chats: Mapping[str, Example]
) -> None:
    ours, row = tokens_of(chats[name], models[case].rendering), row_of(case, name)
    assert list(ours.ids) == row["ids"]
    assert [at for at, learnt in enumerate(ours.trained) if learnt] == row["learnt"]
    if "asked" in row:
        question = replace(chats[name], turns=chats[name].turns[:1])
        assert list(prompt_of(question, models[case].rendering).ids) == row["asked"]


@pytest.mark.parametrize("name", NAMES)
def test_a_tokenizer_that_puts_a_space_before_a_text_alone_writes_the_same(
    name: str, models: Mapping[str, Model], chats: Mapping[str, Example]
) -> None:
    assert list(tokens_of(chats[name], models["first"].rendering).ids) == row_of("first", name)["ids"]


@pytest.mark.parametrize("case", ["prepend", "split"])
def test_pixels_are_those_of_its_processor(case: str, models: Mapping[str, Model], place: Path) -> None:
    for number, alone in CASES[case]["alone"].items():
        seen = models[case].pixels(load_image(ImageRef(str(place / "pictures" / f"{number}.png"))))
        real = seen.values[:, -1] > 0
        assert [[int(part.any(0).sum()), int(part.any(1).sum())] for part in real] == alone["sizes"]
        same(seen_rows(seen.values[:, :-1].flatten(1), 3), alone["pixels"])


def test_features_of_a_picture_alone_are_those_there(models: Mapping[str, Model], place: Path) -> None:
    model = models["prepend"]
    for number, alone in CASES["prepend"]["alone"].items():
        seen = model.pixels(load_image(ImageRef(str(place / "pictures" / f"{number}.png"))))
        with torch.no_grad():
            (tokens_KH,) = model.project(model.encode([seen]))
        same(seen_rows(tokens_KH.flatten()[None], 3), alone["features"])


@pytest.mark.parametrize("case", ["prepend", "split"])
@pytest.mark.parametrize("name", NAMES)
def test_features_logits_and_loss_are_those_there_beside_the_same_pictures(
    case: str, name: str, models: Mapping[str, Model], chats: Mapping[str, Example]
) -> None:
    model, row = models[case], row_of(case, name)
    batch = collate([[with_ids(tokens_of(chats[name], model.rendering), row, model)]], pad_id=0)
    with torch.no_grad():
        features = beside_each_other(model, pixels_of(model, batch.images))
        if features:
            tokens = model.project(features)
            parts = [tokens[slot.image].view(-1, LATENTS * tokens[0].shape[-1]) for slot in batch.slots]
            same(seen_rows(torch.cat(parts), 3), row["features"])
        logits_BTV = model.head(model.hidden(model.weave(batch, features)))
    same(seen_rows(logits_BTV[0]), row["logits"])
    assert loss_of(logits_BTV, [row]) == pytest.approx(row["loss"], rel=1e-4)


@pytest.mark.parametrize("case", ["prepend", "split"])
@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_network_that_its_example_opens(
    case: str, name: str, models: Mapping[str, Model], chats: Mapping[str, Example]
) -> None:
    model, row = models[case], row_of(case, name)
    batch = collate([[with_ids(tokens_of(chats[name], model.rendering), row, model)]], pad_id=0)
    with torch.no_grad():
        features = model.encode(pixels_of(model, batch.images))
        logits_TV = model.head(model.hidden(model.weave(batch, features)))[0]
    same(seen_rows(logits_TV[::4]), row["plain"])


@pytest.mark.parametrize("name", ["one", "words alone", "marks in front", "four", "one size", "wide"])
def test_greedy_replies_are_those_there_where_no_picture_is_padded_within_a_patch(
    name: str, models: Mapping[str, Model], chats: Mapping[str, Example]
) -> None:
    model, row = models["prepend"], row_of("prepend", name)
    question = replace(chats[name], turns=chats[name].turns[:1])
    answering = LocalResponder(model, features=FeatureStore(model), name="model")
    (answer,) = answering.answer([question], max_tokens=len(row["reply"]))
    assert isinstance(answer, Answer)
    assert answer.text == parse_reply(row["reply"], model.template, tokenizer=model.tokenizer)


def test_the_loss_of_two_conversations_is_that_of_its_padded_batch(
    models: Mapping[str, Model], chats: Mapping[str, Example]
) -> None:
    model, pair = models["prepend"], CASES["prepend"]["pair"]
    rows = [row_of("prepend", NAMES[at]) for at in pair["rows"]]
    assert [len(row["ids"]) for row in rows] == pair["mask"]
    two = [[tokens_of(chats[NAMES[at]], model.rendering)] for at in pair["rows"]]
    batch = collate(two, pad_id=0)
    with torch.no_grad():
        features = model.encode(pixels_of(model, batch.images))
        logits_BTV = model.head(model.hidden(model.weave(batch, features)))
    assert loss_of(logits_BTV, rows) == pytest.approx(pair["loss"], rel=1e-4)


def beside_each_other(model: Model, pictures: Sequence[Seen]) -> list[Seen]:
    """Return features as in its training: pictures are padded to the largest, a patch with any pixel of one is seen.

    Ours, and those of transformers itself, are of a picture alone: a patch is seen where all of it is picture.
    """
    if not pictures:
        return []
    patch = model.network.config.vision_config.patch_size
    height, width = (max(each.values.shape[axis] for each in pictures) for axis in (2, 3))
    padded = [
        pad(each.values, (0, width - each.values.shape[3], 0, height - each.values.shape[2])) for each in pictures
    ]
    pixels_NCHW = torch.cat(padded)
    real_NHW = pixels_NCHW[:, -1].unfold(1, patch, patch).unfold(2, patch, patch).sum(dim=(-1, -2)) > 0
    features_NPD = model.parts()["vision"](pixels_NCHW[:, :-1], patch_attention_mask=real_NHW).last_hidden_state
    marked_NPD = torch.cat([features_NPD, real_NHW.flatten(1)[..., None].float()], dim=-1)
    split = marked_NPD.split([len(each.values) for each in pictures])
    return [Seen(values, each.size) for values, each in zip(split, pictures, strict=True)]


def with_ids(encoded: Encoded, row: Mapping[str, Any], model: Model) -> Encoded:
    """Return the conversation with the ids of there, whatever ours are."""
    ids, slots, at = row["ids"], [], 0
    for slot in encoded.slots:
        at = ids.index(model.image_token_id, at)
        slots.append(Slot(at, at := at + slot.stop - slot.start, slot.image))
    return replace(encoded, ids=tuple(ids), slots=tuple(slots), trained=(False,) * len(ids))


def loss_of(logits_BTV: Tensor, rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean over what is learnt there."""
    at = [(number, place) for number, row in enumerate(rows) for place in row["learnt"]]
    told = torch.stack([logits_BTV[number, place - 1] for number, place in at])
    return cross_entropy(told, torch.tensor([rows[number]["ids"][place] for number, place in at])).item()


def row_of(case: str, name: str) -> dict[str, Any]:
    row: dict[str, Any] = CASES[case]["rows"][NAMES.index(name)]
    return row
