"""Flamingo with a cache: media stay with the words that see them, whatever becomes of rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.models.flamingos import IMAGE, TEXTS, batch_of, network_of, sample, shown
from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of
from triptych.core.records import Example, ImageRef
from triptych.data.batch import collate, pad_left
from triptych.models.families.flamingo import FlamingoModel
from triptych.models.family import Woven
from triptych.models.flamingo.cache import MediaCache


@pytest.fixture(scope="module", params=["llama", "mpt", "films"])
def model(request: pytest.FixtureRequest) -> FlamingoModel:
    return sample(request.param)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4)


@pytest.fixture(scope="module")
def questions(pictures: tuple[ImageRef, ...]) -> list[Example]:
    first, second, third, _ = pictures
    asked = [
        ask("pair", "Is ", first, " older than ", second, "?", reply=""),
        ask("words", "What is two and two?", reply=""),
        ask("late", "Here are three, ", first, second, " and in the end ", third, ": which is it?", reply=""),
    ]
    return [replace(each, turns=each.turns[:1]) for each in asked]


@torch.no_grad()
def test_cached_logits_are_those_computed_anew_in_a_batch_whose_rows_leave(
    model: FlamingoModel, questions: list[Example]
) -> None:
    batch = batch_of(model, [[question] for question in questions], open_reply=True)
    left = pad_left(batch)
    woven = model.weave(left, model.encode(pixels_of(model, left.images)))
    mask_BT = (left.segments_BT != -1).long()
    logits_BV, cache = model.run(woven, mask=mask_BT, cache=None)
    assert isinstance(cache, MediaCache)
    rows, said = [0, 1, 2], [[], [], []]
    for step in range(5):
        for at, row in enumerate(rows):
            assert torch.allclose(logits_BV[at], _anew(model, questions[row], said[row]), atol=1e-3)
        if step == 2:
            rows = [0, 2]
            cache.batch_select_indices(torch.tensor(rows))
            logits_BV, mask_BT = logits_BV[rows], mask_BT[rows]
        next_B = logits_BV.argmax(-1)
        for at, row in enumerate(rows):
            said[row].append(int(next_B[at]))
        at_BT = mask_BT.sum(dim=-1, keepdim=True)
        mask_BT = torch.cat([mask_BT, torch.ones_like(at_BT)], dim=1)
        words = Woven(model.network.get_input_embeddings()(next_B[:, None]), at_BT[None], torch.zeros_like(at_BT))
        logits_BV, cache = model.run(words, mask=mask_BT, cache=cache)


def _anew(model: FlamingoModel, question: Example, said: list[int]) -> Tensor:
    prompt = encoded(model, question, open_reply=True)
    longer = replace(prompt, ids=(*prompt.ids, *said), trained=(*prompt.trained, *[True] * len(said)))
    return logits_of(model, collate([[longer]], pad_id=0))[0, -1]


@pytest.mark.parametrize("name", ["llama", "mpt"])
@pytest.mark.parametrize("immediate", [True, False])
@torch.no_grad()
def test_a_conversation_goes_on_from_a_cache_with_new_images(name: str, immediate: bool) -> None:
    network = network_of(TEXTS[name], only_attend_immediate_media=immediate)
    ids_BT = torch.tensor([[1, IMAGE, 7, 8, IMAGE, 10, 2, 3], [IMAGE, 9, 8, 7, 6, IMAGE, 4, IMAGE]])
    pixels = shown(5)
    whole = network(ids_BT, pixels, use_cache=False).logits
    begun = network(ids_BT[:, :3], pixels[[0, 2]], use_cache=True)
    between = network(ids_BT[:, 3:4], past_key_values=begun.past_key_values)
    rest = network(ids_BT[:, 4:], pixels[[1, 3, 4]], past_key_values=between.past_key_values)
    together = torch.cat([begun.logits, between.logits, rest.logits], dim=1)
    assert torch.allclose(together, whole, atol=1e-4)
    rest.past_key_values.crop(-4)
    again = network(ids_BT[:, 4:], pixels[[1, 3, 4]], past_key_values=rest.past_key_values)
    assert torch.allclose(again.logits, whole[:, 4:], atol=1e-4)


@pytest.mark.parametrize("name", ["llama", "mpt"])
@torch.no_grad()
def test_beams_and_samples_keep_to_their_own_images(name: str) -> None:
    network = network_of(TEXTS[name])
    ids_BT = torch.tensor([[1, IMAGE, 7, IMAGE, 10], [IMAGE, IMAGE, 9, 8, 4]])
    given = {"input_ids": ids_BT, "pixel_values": shown(4), "attention_mask": torch.ones_like(ids_BT)}
    greedy = network.generate(**given, max_new_tokens=4, do_sample=False)
    sampled = network.generate(**given, max_new_tokens=4, do_sample=True, top_k=1, num_return_sequences=2)
    assert sampled.tolist() == [greedy[0].tolist()] * 2 + [greedy[1].tolist()] * 2
    beams = [
        network.generate(**given, max_new_tokens=4, num_beams=3, do_sample=False, use_cache=cached).tolist()
        for cached in (True, False)
    ]
    assert beams[0] == beams[1]
    alone = [
        network.generate(input_ids=row[None], pixel_values=own, max_new_tokens=4, num_beams=3, do_sample=False)[0]
        for row, own in zip(ids_BT, shown(4).split(2), strict=True)
    ]
    assert beams[0] == [row.tolist() for row in alone]
