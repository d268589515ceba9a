"""A plan counts the weights that `only` names as a run lets them move."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import PreTrainedConfig
from typer.testing import CliRunner

from triptych.cli.main import build_app
from triptych.core.machine import GIB
from triptych.models.families import flamingo, fuyu
from triptych.models.families.tiny import tiny
from triptych.models.family import Model
from triptych.train.forecast.estimate import Assumed, memory_of, moving_weights, work_of
from triptych.train.forecast.shapes import LLAMA_3, SO400M, Shape, joined, stack_of, tower_of
from triptych.train.recipe import Frozen, Full, PartPlans, Tune
from triptych.train.release import release_parts

TINY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "mlp", "self_attn", "layers"]
TINY_SETS = [
    *([name] for name in TINY),
    ["embed_tokens"],
    ["lm_head"],
    ["embed_tokens", "lm_head"],
    ["model"],
    ["layers", "q_proj"],
    ["q_proj", "mlp", "lm_head"],
]
MPT_SETS = [["Wqkv"], ["out_proj"], ["attn"], ["ffn"], ["up_proj"], ["down_proj"], ["blocks"], ["wte"], ["transformer"]]
FUYU_SETS = [["query_key_value"], ["dense"], ["dense_h_to_4h"], ["dense_4h_to_h"], ["self_attn"], ["mlp"], ["lm_head"]]
EIGHT_B = joined((SO400M, 729), LLAMA_3, image_tokens=None, two_layers=True)


@pytest.mark.parametrize("only", TINY_SETS, ids=" ".join)
def test_what_only_names_in_a_llama_is_counted_as_it_moves(only: list[str]) -> None:
    assert counted(tiny(0), "language", only) == moved(tiny(0), "language", only)


@pytest.mark.parametrize("only", MPT_SETS, ids=" ".join)
def test_what_only_names_in_an_mpt_is_counted_as_it_moves(only: list[str]) -> None:
    model = flamingo.FAMILY.samples["mpt"](0)
    assert counted(model, "language", only) == moved(model, "language", only)


@pytest.mark.parametrize("only", FUYU_SETS, ids=" ".join)
def test_what_only_names_in_a_persimmon_is_counted_as_it_moves(only: list[str]) -> None:
    model = next(iter(fuyu.FAMILY.samples.values()))(0)
    assert counted(model, "language", only) == moved(model, "language", only)


@pytest.mark.parametrize("only", [["layers"], ["self_attn"], ["fc1"], ["fc2"], ["mlp"], ["out_proj"]], ids=" ".join)
def test_what_only_names_in_a_tower_is_counted_as_it_moves(only: list[str]) -> None:
    assert counted(tiny(0), "vision", only) == moved(tiny(0), "vision", only)


@pytest.mark.parametrize(
    ("part", "only"), [("language", ["rotary_emb"]), ("language", ["q_proj", "0"]), ("projector", ["linear_1"])]
)
def test_what_shapes_do_not_tell_is_counted_as_all(part: str, only: list[str]) -> None:
    plan = Full(train="full", rate=1e-3, only=tuple(only))
    assert moving_weights(plan, part, shape=EIGHT_B) == EIGHT_B.part_weights[part]


def test_all_layers_of_a_large_model_take_what_they_weigh() -> None:
    whole, layers, table, head = (stage(only) for only in (None, ["layers"], ["embed_tokens"], ["lm_head"]))
    memories = [
        memory_of(each, EIGHT_B, gpus=1, parallel="none", assumed=Assumed()) for each in (whole, layers, table, head)
    ]
    assert [each.gradients / GIB for each in memories] == pytest.approx([29.9, 26.0, 1.96, 1.96], rel=0.01)
    assert [each.optimizer / each.gradients for each in memories] == [2.0] * 4
    assert memories[1].weights < memories[0].weights
    assert memories[2].weights < memories[1].weights
    assert memories[0].logits == memories[3].logits > memories[1].logits == memories[2].logits
    work = [work_of(each, EIGHT_B, tokens=1000, assumed=Assumed()) for each in (whole, layers, table, head)]
    assert work[0].language == pytest.approx(work[1].language)
    assert work[2].language == pytest.approx(work[0].language * 2 / 3)
    assert work[0].head == work[3].head == pytest.approx(work[1].head * 3 / 2)


def test_half_of_the_blocks_weights_take_half_of_their_way_back() -> None:
    none, some, whole = (work_of(stage(only), EIGHT_B, tokens=1000, assumed=Assumed()).language for only in SOME)
    share = LLAMA_3.hidden * LLAMA_3.hidden / LLAMA_3.block_weights
    assert (some - none) / (whole - none) == pytest.approx(share)


SOME: tuple[list[str] | None, ...] = (["embed_tokens"], ["q_proj"], None)


def test_a_plan_says_what_it_counts_as_all(tmp_path: Path) -> None:
    known, unknown, projector = (
        plan_of(tmp_path, parts)
        for parts in (
            "language: {train: full, rate: 1e-3, only: [layers]}",
            "language: {train: full, rate: 1e-3, only: [layers, rotary_emb]}",
            "projector: {train: full, rate: 1e-3, only: [linear_1]}",
        )
    )
    assert "counted as all" not in known
    assert "parts.language.only: shapes do not tell 'rotary_emb': the part is counted as all of it" in unknown
    assert "parts.projector.only: shapes do not tell 'linear_1': the part is counted as all of it" in projector
    assert json.loads(plan_of(tmp_path, PROJECTOR, "--json"))[0]["counted_as_all"] == {"projector": ["linear_1"]}


PROJECTOR = "projector: {train: full, rate: 1e-3, only: [linear_1]}"


def plan_of(folder: Path, parts: str, *words: str) -> str:
    path = folder / "it.yaml"
    path.write_text(
        "name: it\nmodel: {open: TIGER-Lab/Mantis-8B-siglip-llama3}\nstages:\n  - name: s\n    kind: tune\n"
        '    data: [{source: "messages:x.jsonl"}]\n    length: 2 steps\n    pack_tokens: 1024\n    step_tokens: 1024\n'
        f"    parts:\n      {parts}\n"
    )
    result = CliRunner().invoke(build_app(), ["recipe", "plan", str(path), *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def stage(only: list[str] | None) -> Tune:
    """Return a stage that lets the language model move, or those of its modules."""
    said = {"name": "s", "kind": "tune", "data": [{"source": "messages:x.jsonl"}], "length": "2 steps"}
    sizes = {"pack_tokens": 1024, "step_tokens": 1024, "precision": "bfloat16"}
    parts = {"language": {"train": "full", "rate": 1e-3} | ({} if only is None else {"only": only})}
    return Tune.model_validate_json(json.dumps({**said, **sizes, "parts": parts}))


def counted(model: Model, part: str, only: list[str]) -> int:
    config = model.network.config
    assert isinstance(config, PreTrainedConfig)
    language = stack_of(config.get_text_config().to_dict())
    tower = None
    if part == "vision":
        tower, _ = tower_of(config.vision_config.to_dict())
    shape = Shape(tower, 0, 1, 0, language)
    return moving_weights(Full(train="full", rate=1e-3, only=tuple(only)), part, shape=shape)


def moved(model: Model, part: str, only: list[str]) -> int:
    """Return how many weights a run lets move, without biases and norms, which shapes leave out."""
    plan = Full(train="full", rate=1e-3, only=tuple(only))
    still = {name: Frozen(train="frozen") for name in ("vision", "projector", "language")}
    weights = release_parts(model, PartPlans.model_validate(still | {part: plan}), seed=0)
    return sum({id(weight): weight.numel() for weight in weights.values() if weight.ndim > 1}.values())
