"""An adapter learns beside frozen weights and disappears into them without a trace."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of, stacked
from triptych.core.errors import ModelError
from triptych.core.records import ImageRef
from triptych.data.batch import Batch, collate
from triptych.models.adapters import AdapterPlan, adapter_state, add_adapter, merge
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, open_model
from triptych.models.memory.quantise import quantised

PLAN = AdapterPlan(rank=4, alpha=8, targets="all-linear", dropout=0.0, seed=3)
LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 2)


def test_a_new_adapter_changes_nothing(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0)
    batch = _batch(model, pictures)
    with torch.no_grad():
        before = logits_of(model, batch)
        add_adapter(model, PLAN)
        assert torch.equal(logits_of(model, batch), before)


def test_only_the_adapter_learns_in_the_language_model(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0)
    add_adapter(model, PLAN)
    trained = {name for name, weight in model.parts()["language"].named_parameters() if weight.requires_grad}
    assert trained == set(adapter_state(model))
    assert all(weight.requires_grad for weight in model.parts()["projector"].parameters())
    logits_of(model, _batch(model, pictures)).sum().backward()
    assert all(weight.grad is not None for weight in adapter_state(model).values())


def test_all_linear_means_every_linear_layer_of_the_body_and_never_the_head() -> None:
    model = tiny(0)
    add_adapter(model, PLAN)
    adapted = {name.partition(".lora_")[0] for name in adapter_state(model)}
    assert adapted == {
        f"model.layers.{layer}.{'mlp' if name in {'gate_proj', 'up_proj', 'down_proj'} else 'self_attn'}.{name}"
        for layer in range(2)
        for name in LINEAR
    }


def test_targets_and_layers_may_be_chosen() -> None:
    model = tiny(0)
    add_adapter(model, replace(PLAN, targets=["q_proj", "v_proj"], from_layer=1))
    adapted = {name.partition(".lora_")[0] for name in adapter_state(model)}
    assert adapted == {"model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"}


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (replace(PLAN, targets=["c_attn"]), "no linear layer 'c_attn'; there are"),
        (replace(PLAN, from_layer=2), "no layer 2; the last is 1"),
    ],
)
def test_a_target_that_is_not_there_is_refused(plan: AdapterPlan, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        add_adapter(tiny(0), plan)


def test_a_second_adapter_is_refused() -> None:
    model = tiny(0)
    add_adapter(model, PLAN)
    with pytest.raises(ModelError, match="an adapter already; merge it first"):
        add_adapter(model, PLAN)


def test_the_first_weights_are_the_seeds_and_nobody_elses_random_numbers_move() -> None:
    one, same, other = tiny(0), tiny(0), tiny(0)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    add_adapter(one, PLAN)
    assert torch.equal(torch.rand(1), expected)
    add_adapter(same, PLAN)
    add_adapter(other, replace(PLAN, seed=4))
    assert all(torch.equal(weight, adapter_state(same)[name]) for name, weight in adapter_state(one).items())
    assert not all(torch.equal(weight, adapter_state(other)[name]) for name, weight in adapter_state(one).items())


@pytest.mark.parametrize(
    "plan",
    [PLAN, replace(PLAN, decomposed=True), replace(PLAN, rooted=True), replace(PLAN, decomposed=True, rooted=True)],
    ids=["lora", "dora", "root", "dora root"],
)
@pytest.mark.parametrize("tower", ["vit", "convolutional"])
def test_a_merged_model_answers_as_the_adapter_did(
    tower: Literal["vit", "convolutional"], plan: AdapterPlan, pictures: tuple[ImageRef, ...], tmp_path: Path
) -> None:
    model = tiny(0, tower=tower)
    names = list(model.network.state_dict())
    untuned = logits_of(model, _batch(model, pictures))
    _tune(model, plan)
    batch = _batch(model, pictures)
    with torch.no_grad():
        tuned = logits_of(model, batch)
        assert not torch.allclose(tuned, untuned, atol=0.1)
        assert merge(model) is model
        assert torch.allclose(logits_of(model, batch), tuned, atol=5e-5)
        assert list(model.network.state_dict()) == names
        assert adapter_state(model) == {}
        model.save(tmp_path / "merged")
        plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged").eval()
        plain_logits = plain(input_ids=batch.ids_BT, pixel_values=stacked(pixels_of(model, batch.images))).logits
        assert torch.allclose(plain_logits, tuned, atol=5e-5)


@pytest.mark.parametrize(("rooted", "counts"), [(False, 8 / 4), (True, 8 / 2)])
def test_an_adapter_counts_alpha_over_its_rank_or_over_the_root_of_it(rooted: bool, counts: float) -> None:
    model, name = tiny(0), "model.layers.0.self_attn.q_proj"
    before = model.parts()["language"].get_submodule(name).get_parameter("weight").clone()
    add_adapter(model, replace(PLAN, rooted=rooted))
    _fill(model)
    first, second = (adapter_state(model)[f"{name}.lora_{matrix}.default.weight"].clone() for matrix in "AB")
    merged = merge(model).parts()["language"].get_submodule(name).get_parameter("weight")
    assert torch.allclose(merged - before, counts * second @ first, atol=1e-5)


@pytest.mark.parametrize("decomposed", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("part", ["vision", "projector", "language"])
def test_any_part_may_have_an_adapter_that_learns_and_merges(
    part: str, decomposed: bool, pictures: tuple[ImageRef, ...]
) -> None:
    model = tiny(0)
    names = list(model.network.state_dict())
    model.network.requires_grad_(False)
    _tune(model, replace(PLAN, decomposed=decomposed, gaussian=True), part=part)
    batch = _batch(model, pictures)
    logits_of(model, batch).square().sum().backward()
    moved = {name for name, weight in model.network.named_parameters() if weight.grad is not None}
    # A tower's last layer is not looked at: LLaVA takes the hidden state before it.
    assert len(moved) == len(adapter_state(model, part=part)) // (2 if part == "vision" else 1)
    assert all("lora_" in name for name in moved)
    with torch.no_grad():
        tuned = logits_of(model, batch)
        assert not torch.allclose(tuned, logits_of(tiny(0), batch), atol=1e-3)
        assert torch.allclose(logits_of(merge(model), batch), tuned, atol=1e-4)
    assert list(model.network.state_dict()) == names


def test_adapters_of_several_parts_live_and_merge_together(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0)
    for number, part in enumerate(("language", "vision", "projector")):
        _tune(model, replace(PLAN, rank=2 + number, decomposed=number == 1), part=part)
    batch = _batch(model, pictures)
    with torch.no_grad():
        tuned = logits_of(model, batch)
        assert torch.allclose(logits_of(merge(model), batch), tuned, atol=1e-4)
    assert not any("lora_" in name for name, _ in model.network.named_parameters())


def test_a_part_without_linear_layers_has_no_adapter() -> None:
    with pytest.raises(ModelError, match="the vision part has no linear layer, which alone can have an adapter"):
        add_adapter(tiny(0, tower="convolutional"), PLAN, part="vision")


@pytest.mark.parametrize("rooted", [False, True], ids=["rank", "root"])
@pytest.mark.parametrize("decomposed", [False, True], ids=["qlora", "qdora"])
def test_an_adapter_over_four_bits_merges_onto_what_these_stand_for(
    decomposed: bool, rooted: bool, pictures: tuple[ImageRef, ...], tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes", reason="an optional package: pip install bitsandbytes")
    model = tiny(0)
    whole = {name: tuple(weight.shape) for name, weight in model.network.state_dict().items()}
    plan = replace(PLAN, quantised=True, decomposed=decomposed, rooted=rooted, targets=["q_proj", "v_proj"])
    add_adapter(model, plan)
    assert len(list(quantised(model.network))) == 2 * len(LINEAR)
    batch = _batch(model, pictures)
    with torch.no_grad():
        rounded, exact = logits_of(model, batch), logits_of(tiny(0), batch)
        assert not torch.allclose(rounded, exact, atol=1e-3)
    _fill(model)
    logits_of(model, batch).square().sum().backward()
    assert all(weight.grad is not None for weight in adapter_state(model).values())
    with torch.no_grad():
        tuned = logits_of(model, batch)
        assert not torch.allclose(tuned, rounded, atol=1e-2)
        assert torch.allclose(logits_of(merge(model), batch), tuned, atol=1e-3)
        assert {name: tuple(weight.shape) for name, weight in model.network.state_dict().items()} == whole
        model.save(tmp_path / "merged")
        assert torch.allclose(logits_of(open_model(tmp_path / "merged"), batch), tuned, atol=1e-3)


def test_without_bitsandbytes_four_bits_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.nn", None)
    with pytest.raises(ModelError, match="pip install bitsandbytes") as caught:
        add_adapter(tiny(0), replace(PLAN, quantised=True))
    assert "\n" not in str(caught.value)


def test_a_merged_model_may_have_another_adapter() -> None:
    model = tiny(0)
    _tune(model)
    merge(model)
    add_adapter(model, PLAN)
    assert adapter_state(model)


def test_a_model_with_an_adapter_is_not_saved_as_a_plain_one(tmp_path: Path) -> None:
    model = tiny(0)
    add_adapter(model, PLAN)
    with pytest.raises(ModelError, match="not merged"):
        model.save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_dropout_is_only_for_training(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0)
    _tune(model, replace(PLAN, dropout=0.5))
    batch = _batch(model, pictures)
    with torch.no_grad():
        assert torch.equal(logits_of(model, batch), logits_of(model, batch))
        model.network.train()
        assert not torch.equal(logits_of(model, batch), logits_of(model, batch))


def _tune(model: Model, plan: AdapterPlan = PLAN, *, part: str = "language") -> None:
    """Give the adapter weights as if it had learnt."""
    add_adapter(model, plan, part=part)
    _fill(model, part=part)


def _fill(model: Model, *, part: str = "language") -> None:
    model.network.eval()
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in adapter_state(model, part=part).values():
            # Added, as the magnitudes of DoRA begin at those of the weights.
            weight.add_(0.2 * torch.randn(weight.shape, generator=random))


def _batch(model: Model, pictures: tuple[ImageRef, ...]) -> Batch:
    return collate([[encoded(model, ask("a", "Is ", *pictures, " alike?", reply="no"))]], pad_id=0)


@pytest.mark.parametrize("decomposed", [True, False])
def test_a_row_of_zeros_has_no_direction_for_dora(decomposed: bool, pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(0)
    with torch.no_grad():
        model.parts()["language"].get_submodule("model.layers.0.self_attn.o_proj").get_parameter("weight")[3] = 0
    plan = replace(PLAN, decomposed=decomposed)
    if decomposed:
        with pytest.raises(ModelError, match=r"row 3 of '.*\.self_attn\.o_proj' in the language part is zero"):
            add_adapter(model, plan)
        assert not adapter_state(model)
    else:
        add_adapter(model, plan)
    assert torch.isfinite(logits_of(model, _batch(model, pictures))).all()


def test_a_weight_that_is_no_number_is_named_and_not_taken_for_another_architecture(
    pictures: tuple[ImageRef, ...],
) -> None:
    model = tiny(0)
    batch = collate([[encoded(model, ask(*pictures, reply="Yes."))] * 2], pad_id=0)
    weight = model.parts()["language"].get_submodule("model.layers.0.mlp.up_proj").get_parameter("weight")
    before = float(weight.detach()[0, 0])
    with torch.no_grad():
        weight[0, 0] = torch.nan
    model.network.train()
    with pytest.raises(ModelError, match=r"what is no number: weight 'layers\.0\.mlp\.up_proj\.weight' is not finite"):
        logits_of(model, batch)
    assert all(module.training for module in model.body.modules())
    with torch.no_grad():
        weight[0, 0] = before
    assert torch.isfinite(logits_of(model, batch)).all()
