"""Which words of a Flamingo see which media, over which language models; what it refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from transformers import MptConfig, MptForCausalLM
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

from tests.models.flamingos import IMAGE, TEXTS, VISION, batch_of, network_of, sample, shown
from tests.models.pictures import ask, draw_pictures, logits_of, pixels_of
from triptych.core.errors import ModelError
from triptych.core.records import ImageRef
from triptych.models.families.flamingo import FlamingoModel
from triptych.models.flamingo.config import FlamingoConfig
from triptych.models.flamingo.language import STACKS, cross_attention_of
from triptych.models.flamingo.network import FlamingoForConditionalGeneration


@pytest.fixture(scope="module", params=["llama", "mpt", "films"])
def model(request: pytest.FixtureRequest) -> FlamingoModel:
    return sample(request.param)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4)


# Which words see which media


def test_words_see_the_image_before_them_alone(model: FlamingoModel, pictures: tuple[ImageRef, ...]) -> None:
    first, second, third, _ = pictures
    batch = batch_of(model, [[ask("a", "x ", first, " y ", second, " z", reply="yes"), ask("b", third, reply="no")]])
    sees_TM = model.weave(batch, model.encode(pixels_of(model, batch.images))).extra_inputs["sees"][0]
    one, two, three = (slot.start for slot in batch.slots)
    ends = int((batch.segments_BT[0] == 0).sum())
    assert sees_TM.sum(dim=-1).max() == 1
    assert sees_TM[:, 0].nonzero()[:, 0].tolist() == list(range(one, two))
    assert sees_TM[:, 1].nonzero()[:, 0].tolist() == list(range(two, ends))
    assert sees_TM[:, 2].nonzero()[:, 0].tolist() == list(range(three, len(sees_TM)))


def test_the_order_of_a_pair_with_nothing_between_it_shows(
    model: FlamingoModel, pictures: tuple[ImageRef, ...]
) -> None:
    first, second, *_ = pictures
    with torch.no_grad():
        there = logits_of(model, batch_of(model, [[ask("a", first, second, "Which is older?", reply="yes")]]))
        back = logits_of(model, batch_of(model, [[ask("a", second, first, "Which is older?", reply="yes")]]))
    assert (there[:, -5:] - back[:, -5:]).abs().max() > 1e-2


def test_a_demonstrations_words_are_bound_to_its_own_image(pictures: tuple[ImageRef, ...]) -> None:
    """Before the first layer that follows cross-attention, where words have not yet told each other what they saw."""
    model = sample("llama")
    network = network_of(TEXTS["llama"], cross_attn_every_n_layers=4)
    assert len(cross_attention_of(network.lang_encoder)) == 1
    ids_BT = torch.tensor([[1, IMAGE, 7, 8, 9, IMAGE, 10, 11, 12]])
    entering: list[Tensor] = []
    last = network.get_submodule("lang_encoder.model.layers.3.decoder_layer")
    last.register_forward_pre_hook(lambda _module, given: entering.append(given[0].detach()))
    one, two, other = shown(3)
    with torch.no_grad():
        logits = [network(ids_BT, torch.stack(pair)).logits for pair in ((one, two), (other, two), (one, other))]
    own, first_changed, second_changed = (hidden_BTH[0] for hidden_BTH in entering)
    assert torch.allclose(own[5:], first_changed[5:], atol=1e-6)
    assert not torch.allclose(own[1:5], first_changed[1:5], atol=1e-2)
    assert torch.allclose(own[:5], second_changed[:5], atol=1e-6)
    assert not torch.allclose(own[5:], second_changed[5:], atol=1e-2)
    assert torch.allclose(logits[0][:, :5], logits[2][:, :5], atol=1e-6)
    assert model.network.config.only_attend_immediate_media


def test_words_before_the_first_image_are_those_of_a_conversation_without_one(
    model: FlamingoModel, pictures: tuple[ImageRef, ...]
) -> None:
    said = "Before anything is shown, there are words. Now look: "
    batch = batch_of(model, [[ask("a", said, pictures[0], " What is it?", reply="a cat")]])
    before = batch.slots[0].start
    assert before > 10
    with torch.no_grad():
        logits_TV = logits_of(model, batch)[0, :before]
        alone = model.network(input_ids=batch.ids_BT[:, :before]).logits[0]
        for gated in cross_attention_of(model.network.lang_encoder):
            gated.attn_gate.add_(5.0)
        with_open_gates = model.network(input_ids=batch.ids_BT[:, :before]).logits[0]
        for gated in cross_attention_of(model.network.lang_encoder):
            gated.attn_gate.sub_(5.0)
    assert torch.allclose(logits_TV, alone, atol=1e-4)
    assert torch.equal(alone, with_open_gates)


def test_where_the_configuration_says_so_words_see_all_media_before_them() -> None:
    network = network_of(TEXTS["llama"], only_attend_immediate_media=False, cross_attn_every_n_layers=4)
    ids_BT = torch.tensor([[1, IMAGE, 7, 8, IMAGE, 10]])
    one, two, other = shown(3)
    entering: list[Tensor] = []
    last = network.get_submodule("lang_encoder.model.layers.3.decoder_layer")
    last.register_forward_pre_hook(lambda _module, given: entering.append(given[0].detach()))
    with torch.no_grad():
        for pair in ((one, two), (other, two)):
            network(ids_BT, torch.stack(pair))
    assert torch.equal(entering[0][:, :1], entering[1][:, :1])
    assert not torch.allclose(entering[0][:, 4:], entering[1][:, 4:], atol=1e-2)


def test_without_a_word_of_it_adjacent_images_are_frames_where_several_have_embeddings() -> None:
    for frames, said, adjacent in ((None, None, False), (1, None, False), (8, None, True), (8, False, False)):
        config = FlamingoConfig(max_num_frames=frames, adjacent_images_are_frames=said)
        assert config.adjacent_images_are_frames is adjacent
        assert FlamingoConfig(**config.to_dict()).adjacent_images_are_frames is adjacent
        assert config.to_diff_dict()["adjacent_images_are_frames"] is adjacent


def test_adjacent_images_are_one_medium_only_where_the_configuration_says_so(pictures: tuple[ImageRef, ...]) -> None:
    for name, media in (("films", 2), ("llama", 4)):
        model = sample(name)
        batch = batch_of(model, [[ask("a", *pictures[:3], "and ", pictures[3], reply="yes")]])
        beside = model.weave(batch, model.encode(pixels_of(model, batch.images))).extra_inputs
        assert beside["media"].shape[:2] == (1, media)


def test_images_of_one_medium_have_one_mark_in_their_order(pictures: tuple[ImageRef, ...]) -> None:
    """Whatever the batch has shown before, and whether or not other conversations stand beside them."""
    model, (first, second, third, fourth) = sample("films"), pictures
    rows = [
        ask("a", second, " x ", first, reply="yes"),
        ask(
            "b", first, third, second, " and ", replace(fourth, video="film"), replace(first, video="film"), reply="no"
        ),
    ]
    batch = batch_of(model, [rows])
    assert [slot.stop - slot.start for slot in batch.slots] == [1, 1, 1, 0, 0, 1, 0]
    shown = [batch.images[slot.image].source for slot in batch.slots]
    assert shown == [each.source for each in (second, first, first, third, second, fourth, first)]
    with torch.no_grad():
        packed = logits_of(model, batch)[0, batch.segments_BT[0] == 1]
        alone = batch_of(model, [rows[1:]])
        film_FPC = torch.stack([seen.values for seen in model.encode(pixels_of(model, (first, third, second)))])
        latents = model.network.perceiver(film_FPC[None], torch.tensor([0]))
        beside = model.weave(alone, model.encode(pixels_of(model, alone.images))).extra_inputs
        assert torch.allclose(beside["media"][0, 0], latents[0], atol=1e-5)
        inputs = model.inputs(alone, pixels_of(model, alone.images))
        assert inputs["frames"].tolist() == [3, 2]
        assert torch.allclose(packed, model.network(**inputs).logits[0], atol=1e-4)
        swapped = {**inputs, "pixel_values": inputs["pixel_values"][[0, 2, 1, 3, 4]]}
        assert not torch.allclose(packed, model.network(**swapped).logits[0], atol=1e-2)


def test_an_image_without_a_mark_is_refused_where_each_has_its_own(pictures: tuple[ImageRef, ...]) -> None:
    films, plain = sample("films"), sample("llama")
    batch = batch_of(films, [[ask("a", *pictures[:2], "?", reply="yes")]])
    with pytest.raises(ModelError, match="image 1 has 0 image marks, not 1"):
        plain.weave(batch, plain.encode(pixels_of(plain, batch.images)))
    stray = replace(
        batch,
        slots=tuple(
            replace(slot, start=slot.start + 2, stop=slot.start + 2) if slot.image else slot for slot in batch.slots
        ),
    )
    with pytest.raises(ModelError, match="image 1 has 0 image marks, not 1"):
        films.weave(stray, films.encode(pixels_of(films, stray.images)))


def test_frames_that_do_not_count_as_the_marks_are_refused() -> None:
    network = network_of(TEXTS["llama"], max_num_frames=4)
    ids_BT = torch.tensor([[1, IMAGE, 7, IMAGE]])
    for frames in ([3], [1, 1], [1, 3]):
        with pytest.raises(ModelError, match=r"hold 2 image marks .* for 3 images, and `frames` tells of"):
            network(ids_BT, shown(3), frames=torch.tensor(frames))


def test_beams_keep_the_frames_of_their_row() -> None:
    network = network_of(TEXTS["llama"], max_num_frames=4)
    ids_BT, pixels = torch.tensor([[1, IMAGE, 7, 8], [1, IMAGE, 7, 8]]), shown(4)
    given = {"max_new_tokens": 4, "num_beams": 3, "do_sample": False}
    made = network.generate(input_ids=ids_BT, pixel_values=pixels, frames=torch.tensor([1, 3]), **given)
    for row, own in ((0, pixels[:1]), (1, pixels[1:])):
        alone = network.generate(
            input_ids=ids_BT[row : row + 1], pixel_values=own, frames=torch.tensor([len(own)]), **given
        )
        assert made[row].tolist() == alone[0].tolist()


def test_frames_under_one_mark_are_one_medium_and_their_order_shows() -> None:
    network = network_of(TEXTS["llama"], max_num_frames=4)
    ids_BT = torch.tensor([[1, IMAGE, 7, 8, IMAGE, 10]])
    films_NFCHW = shown(6).view(2, 3, 3, 32, 32)
    with torch.no_grad():
        found = network(ids_BT, films_NFCHW).logits
        features = network.see(films_NFCHW.flatten(0, 1)).unflatten(0, (2, 3))
        media_BMLC = network.perceiver(features, torch.arange(2))[None]
        sees_BTM = torch.tensor([[[0, 0], [1, 0], [1, 0], [1, 0], [0, 1], [0, 1]]]).bool()
        assert torch.allclose(found, network(ids_BT, media=media_BMLC, sees=sees_BTM).logits, atol=1e-5)
        assert not torch.allclose(found, network(ids_BT, films_NFCHW.flip(1)).logits, atol=1e-3)


# Language models


def test_every_language_model_of_the_list_is_tried_here() -> None:
    assert set(TEXTS) == set(STACKS)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_media_reach_every_cross_attention_of_every_language_model(name: str) -> None:
    network = network_of(TEXTS[name])
    ids_BT = torch.tensor([[1, 2, IMAGE, 7, 8, 9]])
    logits = network(ids_BT, shown(1)).logits
    assert not torch.allclose(logits, network(ids_BT, shown(1, seed=1)).logits, atol=1e-2)
    logits.logsumexp(-1).sum().backward()
    gates = cross_attention_of(network.lang_encoder)
    assert len(gates) == 2
    for gated in gates:
        assert gated.attn.to_kv.weight.grad is not None
        assert gated.attn.to_kv.weight.grad.abs().max() > 0
    assert network.perceiver.latents.grad is not None


@pytest.mark.parametrize("name", sorted(TEXTS))
@torch.no_grad()
def test_with_closed_gates_it_speaks_as_its_language_model_does(name: str) -> None:
    network = network_of(TEXTS[name])
    for gated in cross_attention_of(network.lang_encoder):
        gated.attn_gate.zero_()
        gated.ff_gate.zero_()
    plain = type(network.lang_encoder)(network.config.text_config).eval()
    own = {
        name.replace("decoder_layer.", ""): weight
        for name, weight in network.lang_encoder.state_dict().items()
        if "gated_cross_attn_layer" not in name
    }
    plain.load_state_dict(own)
    ids_BT = torch.tensor([[1, 2, IMAGE, 7, 8, 9], [IMAGE, 2, 3, 7, IMAGE, 9]])
    assert torch.allclose(network(ids_BT, shown(3)).logits, plain(ids_BT).logits, atol=1e-5)


@torch.no_grad()
def test_rows_of_an_mpt_may_be_longer_than_those_it_was_trained_with() -> None:
    network = network_of(TEXTS["mpt"])
    ids_BT = torch.tensor([[1, 2, IMAGE, 7, 8, 9, 4, 3] * 3])
    assert ids_BT.shape[1] > network.config.text_config.max_seq_len
    assert network(ids_BT, shown(3)).logits.isfinite().all()


@torch.no_grad()
def test_the_biases_of_an_mpt_are_as_large_as_its_configuration_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers' own forward takes 8 for all; beside it ours, told 8 and told 2."""
    ids_BT = torch.tensor([[1, 2, 6, 7, 8, 9, 4, 3]])
    found = {}
    for most in (8, 2):
        text = MptConfig(**TEXTS["mpt"].to_dict() | {"attn_config": {"alibi_bias_max": most}})
        network = network_of(text)
        for gated in cross_attention_of(network.lang_encoder):
            gated.ff_gate.zero_()
        plain = MptForCausalLM(text).eval()
        state = network.lang_encoder.state_dict().items()
        plain.load_state_dict({name.replace("decoder_layer.", ""): it for name, it in state if "gated" not in name})
        biases = partial(build_mpt_alibi_tensor, alibi_bias_max=most)
        monkeypatch.setattr(plain.transformer, "build_mpt_alibi_tensor", biases)
        found[most] = network(ids_BT).logits
        assert torch.allclose(found[most], plain(ids_BT).logits, atol=1e-5)
    assert not torch.allclose(found[2], found[8], atol=1e-2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"no_bias": False}, "no_bias is False, but transformers computes an MPT as if it were True"),
        ({"logit_scale": "inv_sqrt_d_model"}, "logit_scale is 'inv_sqrt_d_model', .* as if it were None"),
        ({"attn_config": {"qk_ln": True}}, "attn_config.qk_ln is True, .* as if it were False"),
        ({"attn_config": {"alibi": False}}, "attn_config.alibi is False, .* as if it were True"),
    ],
)
def test_settings_of_an_mpt_that_nobody_computes_are_refused(settings: dict[str, object], message: str) -> None:
    text = TEXTS["mpt"].to_dict() | settings
    with pytest.raises(ModelError, match=message):
        FlamingoForConditionalGeneration(FlamingoConfig(vision_config=dict(VISION), text_config=text))


def test_a_language_model_that_media_were_not_tried_with_is_refused() -> None:
    with pytest.raises(ModelError, match="of type 'gpt2' cannot be a part of a flamingo; there are: gpt_neox, llama"):
        FlamingoForConditionalGeneration(
            FlamingoConfig(vision_config=dict(VISION), text_config={"model_type": "gpt2", "n_layer": 1})
        )


# What is refused


def test_marks_and_images_that_do_not_count_the_same_are_refused() -> None:
    network = network_of(TEXTS["llama"])
    with pytest.raises(ModelError, match=r"hold 1 image marks \(id 5\) for 2 images"):
        network(torch.tensor([[1, IMAGE, 7]]), shown(2))
    with pytest.raises(ModelError, match=r"hold 0 image marks \(id 5\) for 1 images"):
        network(torch.tensor([[1, 2, 7]]), shown(1))


def test_an_image_rendered_for_another_family_is_refused(model: FlamingoModel, pictures: tuple[ImageRef, ...]) -> None:
    batch = batch_of(model, [[ask("a", pictures[0], "?", reply="yes")]])
    twice = replace(
        batch,
        ids_BT=batch.ids_BT.scatter(1, torch.tensor([[batch.slots[0].stop]]), model.image_token_id),
        slots=(replace(batch.slots[0], stop=batch.slots[0].stop + 1),),
    )
    with pytest.raises(ModelError, match="image 0 has 2 image marks, not 1"):
        model.weave(twice, model.encode(pixels_of(model, batch.images)))
