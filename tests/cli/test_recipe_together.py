"""Settings of a recipe that cannot go together are told by check and plan, and plans of adapters end in what fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_recipe import RECIPES, said
from tests.train.runs import recipe_text
from triptych.core.errors import ConfigError

OWN = RECIPES / "qwen_vl_lora.yaml"
LONG = [f"stages.instruct.{key}=131072" for key in ("pack_tokens", "forward_tokens")]
IN_BITS = ("stages.instruct.parts.language.train=qlora", "parallel.kind=fsdp")


def test_a_recipe_with_overrides_is_not_held_against_its_twin() -> None:
    assert "differs in model, data, lengths and sizes alone" in said("check", OWN, code=1)
    assert "twin" not in said("check", OWN, IN_BITS[0], code=1)


def test_adapters_with_long_packs_are_planned_in_shorter_ones_first() -> None:
    (plan,) = json.loads(said("plan", OWN, *LONG, "--gpu", "a100-40g", "--json"))
    assert plan["changes"][-1]["what"] == "instead pack_tokens and forward_tokens: 8192"
    assert plan["changes"][-1]["total_gib"] < 39.6


def test_a_shorter_pack_comes_with_a_step_that_it_divides() -> None:
    odd = [f"stages.instruct.{key}=102400" for key in ("pack_tokens", "forward_tokens", "step_tokens")]
    (plan,) = json.loads(said("plan", OWN, *odd, "--gpu", "a100-40g", "--json"))
    assert plan["changes"][-1]["what"] == "instead pack_tokens and forward_tokens: 8192, step_tokens: 98304"


def test_weights_in_4_bits_are_not_planned_in_shares() -> None:
    with pytest.raises(ConfigError, match="its weights are kept in 4 bits, which fsdp cannot share"):
        said("plan", OWN, *IN_BITS, "--gpus", "2")
    (alone,) = json.loads(said("plan", OWN, *IN_BITS, *LONG, "--gpu", "rtx4090", "--json"))
    assert alone["changes"]
    assert not [each for each in alone["changes"] if "fsdp" in each["what"]]


def test_weights_in_4_bits_in_shares_are_found_wrong(tmp_path: Path) -> None:
    toy = tmp_path / "toy.yaml"
    toy.write_text(recipe_text(tmp_path))
    plan = "stages.tune.parts.language={train: qlora, rate: 1e-3, rank: 2, alpha: 4}"
    assert "wrong   parallel" in said("check", toy, plan, "parallel.kind=fsdp", code=1)
    assert "wrong   parallel" not in said("check", toy, plan, "parallel.kind=ddp")
