"""LLaVA-1.6's tiles against LLaVA-NeXT's released code, run on tiny weights: see ``make_llava_tiles.py``.

Several pictures of several tiles each, on Llama and on Mistral. Numbers are compared on the released ids and labels, so
that they say nothing of the tokenizer (``test_llava_v1_5.py`` does).
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.released.llava_given import Opened, batch_of, before, check_numbers, check_pairs, close, opened, shown
from tests.released.llava_shared import folded
from tests.released.make_llava_tiles import GRIDS
from tests.released.making import made_of
from triptych.core.errors import ModelError
from triptych.core.records import Example
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs_tiled import AnyRes
from triptych.data.plan.rendering import prompt_of
from triptych.infer.local import LocalResponder
from triptych.models.vision.features import FeatureStore

MADE = made_of("llava_tiles")
KINDS = {"llama": "vicuna_v1", "mistral": "mistral_instruct", "llama_max": "vicuna_v1"}
"""Templates. The first turn of Llama 2's without a system turn is that of Mistral's."""


def opened_case(name: str, folder: Path) -> Opened:
    made, kind = MADE[name], "Mistral" if name == "mistral" else "Llama"
    named = {"architectures": [f"Llava{kind}ForCausalLM"], "model_type": f"llava_{kind.lower()}"}
    shapes = MADE["shapes"] | made.get("shapes", {})
    told = {"tower": MADE["tower"], "rows": MADE["rows"], "template": KINDS[name]}
    return opened(folder, name, made, named=named, shapes=shapes, **told)


@pytest.fixture(scope="module", params=("llama", "mistral"))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened_case(request.param, tmp_path_factory.mktemp(request.param))


def test_tiles_are_cut_as_the_released_code_cuts_them(case: Opened) -> None:
    for name, row in case.given.items():
        made = case.made["outcomes"][name]["pixels"]
        for seen, (*shape, a, b, c, d, e, f) in zip(shown(case.model, batch_of(row)), made, strict=True):
            assert list(seen.values.shape) == shape, name
            assert close(folded(seen.values), [a, b, c, d, e, f]), name


def test_features_stand_where_they_should_and_logits_and_loss_are_equal(case: Opened) -> None:
    model, size = case.model, case.made["config"]["vocab_size"]
    for name, row in case.given.items():
        made, batch = case.made["outcomes"][name], batch_of(row)
        _, logits = check_numbers(model, batch, made, tokens=size, name=name)
        loss = torch.nn.functional.cross_entropy(logits[:-1], batch.labels_BT[0, 1:])
        assert loss.item() == pytest.approx(made["loss"], abs=1e-5), name


def test_two_rows_in_a_batch_have_the_released_logits(case: Opened) -> None:
    check_pairs(case, left=case.name == "mistral")


def test_prompts_and_greedy_replies_are_the_released_ones(case: Opened) -> None:
    model = case.model
    responder = LocalResponder(model, features=FeatureStore(model), name="")
    for name, row in case.read.items():
        made, question = case.made["outcomes"][name], Example(name, row.turns[:1])
        if name == "two":
            assert len(row.turns) == 4
        prompt = prompt_of(question, model.rendering)
        words = [each for each in prompt.ids if each != model.image_token_id]
        assert words == [each for each in made["asked"] if each >= 0], name
        kept = before(made["reply"], 2)
        (answer,) = responder.answer([question], max_tokens=5)
        assert answer.text == model.tokenizer.decode(kept, skip_special_tokens=True), name  # type: ignore[union-attr]


@pytest.mark.parametrize(("column", "kind"), [(2, "llava_next"), (3, "llava_onevision")])
def test_pictures_of_many_sizes_cost_what_they_cost_there(column: int, kind: str) -> None:
    side, patch, tower = {"llava_next": (336, 14, "clip"), "llava_onevision": (384, 14, "siglip")}[kind]
    vision = {"model_type": f"{tower}_vision_model", "image_size": side, "patch_size": patch}
    grids = [[high, wide] for wide, high in GRIDS[str(side)]]
    most = {"vision_aspect_ratio": "anyres_max_999"}
    config = {"model_type": kind, "vision_config": vision, "image_grid_pinpoints": grids, **most}
    cost = cost_of_config(config)
    assert isinstance(cost, AnyRes)
    for row in MADE["sizes"]:
        assert cost.tokens((row[0], row[1])) - cost.view == row[column], row


def test_a_clip_tower_with_anyres_max_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'anyres_max_2' with a tower that has a class token") as refusal:
        opened_case("llama_max", tmp_path)
    assert "\n" not in str(refusal.value)
