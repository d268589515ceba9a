"""On a GPU all ends as on a CPU: shown on one that is pretended, where a tensor that was left behind is an error.

No GPU is needed, and none is proven to work: kernels, memory and speed are a GPU's own. See ``tests/pretended.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.apart import Apart
from tests.every import placed, placed_runs
from tests.pretending import refusals

SAMPLES = sorted(placed.SAMPLES)
ONE_OF_EACH = [next(name for name in SAMPLES if name.startswith(f"{family}-")) for family in placed.FAMILIES]
STEP = 1e-4
"""A weight whose gradient is smaller may go either way: Adam's first step is its sign."""


def test_what_is_pretended_refuses_what_a_gpu_refuses(apart: Apart) -> None:
    same = "Expected all tensors to be on the same device"
    assert apart.run(refusals) == {
        "add": same,
        "add in place": same,
        "cat": same,
        "a layer": same,
        "an index of the host's": "",
        "a number of the host's": "",
        "an index for the host": same,
        "numpy": "can't convert cuda:0 device type tensor to numpy",
        "a generator": "Expected a 'cuda' device type for generator but found 'cpu'",
    }


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_step_learns_the_same(sample: str, apart: Apart, tmp_path: Path) -> None:
    _same_step(*apart.both(placed.learn_whole, sample, tmp_path))


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_host_does_not_wait_in_a_pass(sample: str, apart: Apart, tmp_path: Path) -> None:
    heard = apart.run(placed.waits, sample, tmp_path)
    # Idefics' towers and Qwen3-VL's first layers, by a mask, are transformers' own, and ask.
    theirs = {"idefics": ("by transformers",), "qwen_vl-qwen3": ("by transformers", "by torch backward")}
    allowed = [by for start, each in theirs.items() if sample.startswith(start) for by in each]
    assert [each for each in heard if not any(by in each for by in allowed)] == []


def test_the_host_waits_once_a_step_however_many_packs_it_has(apart: Apart, tmp_path: Path) -> None:
    for tokens in (160, 640):
        (tmp_path / str(tokens)).mkdir()
    one_by_one, together = (
        apart.run(placed_runs.waits, tmp_path / str(tokens), forward_tokens=tokens) for tokens in (160, 640)
    )
    assert one_by_one[1:] == together[1:]


@pytest.mark.parametrize("sample", ONE_OF_EACH)
def test_an_adapter_learns_the_same_from_features_that_are_kept(sample: str, apart: Apart, tmp_path: Path) -> None:
    _same_step(*apart.both(placed.learn_adapter, sample, tmp_path))


@pytest.mark.parametrize("sample", ONE_OF_EACH)
def test_a_score_head_learns_and_says_the_same(sample: str, apart: Apart, tmp_path: Path) -> None:
    _same_step(*apart.both(placed.learn_scores, sample, tmp_path))
    cpu, gpu = (apart.run(placed.score, sample, device, tmp_path / device) for device in ("cpu", "cuda"))
    assert torch.allclose(torch.tensor(gpu), torch.tensor(cpu), atol=1e-4)


@pytest.mark.parametrize("sample", ONE_OF_EACH)
def test_features_are_the_same_and_are_kept_in_the_hosts_memory(sample: str, apart: Apart, tmp_path: Path) -> None:
    cpu, gpu = apart.both(placed.features, sample, tmp_path)
    assert _same(gpu, cpu)


@pytest.mark.parametrize("sample", ONE_OF_EACH)
def test_replies_are_the_same(sample: str, apart: Apart, tmp_path: Path) -> None:
    cpu, gpu = apart.both(placed.talk, sample, tmp_path, precision="float32")
    assert gpu == cpu
    cpu, gpu = (apart.run(placed.answer, sample, device, tmp_path / device) for device in ("cpu", "cuda"))
    assert gpu == cpu


@pytest.mark.parametrize("sample", ONE_OF_EACH)
def test_what_is_saved_from_there_is_the_same(sample: str, apart: Apart, tmp_path: Path) -> None:
    cpu, gpu = apart.both(placed.save, sample, tmp_path)
    assert torch.allclose(gpu, cpu, atol=1e-4)


@pytest.mark.parametrize("sample", ONE_OF_EACH)
def test_in_bfloat16_requests_are_computed_together_where_they_are_in_float32(sample: str, apart: Apart) -> None:
    whole = apart.run(placed.comes_together, sample, "cpu", precision="float32")
    assert apart.run(placed.comes_together, sample, "cuda", precision="auto") == whole
    assert whole[0]


@pytest.mark.parametrize(("sample", "saved"), [(each, "float16") for each in ONE_OF_EACH] + [("tiny-mlp", "bfloat16")])
def test_a_folder_of_16_bits_answers_in_either_precision(sample: str, saved: str, apart: Apart, tmp_path: Path) -> None:
    *rough, kinds = apart.run(placed.talk_as_saved, sample, "cuda", tmp_path, saved=saved, precision="auto")
    assert kinds == "bfloat16"
    assert len([reply for reply in rough if reply]) > 1
    cpu, gpu = apart.both(placed.talk_as_saved, sample, tmp_path, saved=saved, precision="float32")
    assert gpu == cpu
    assert cpu[-1] == "float32"


def test_in_bfloat16_replies_come_too(apart: Apart, tmp_path: Path) -> None:
    replies = apart.run(placed.talk, "tiny-mlp", "cuda", tmp_path, precision="auto")
    assert len([reply for reply in replies if reply]) > 3


@pytest.mark.parametrize("sample", ["fuyu-plain", "tiny-mlp"])
def test_frozen_matrices_in_16_bits_learn_the_same_bits(sample: str, apart: Apart, tmp_path: Path) -> None:
    whole, small = (
        apart.run(placed.learn_in_16_bits, sample, "cuda", tmp_path / str(small), small=small)
        for small in (False, True)
    )
    assert (small.loss, small.norm) == (whole.loss, whole.norm)
    assert all(torch.equal(gradient, whole.gradients[name]) for name, gradient in small.gradients.items())


@pytest.mark.parametrize("kind", placed_runs.CHANGES)
def test_a_run_that_is_stopped_and_taken_up_ends_the_same(kind: str, apart: Apart, tmp_path: Path) -> None:
    (told, weights), (also_told, also) = apart.both(placed_runs.run, kind, tmp_path)
    near = 2e-2 if "bfloat16" in kind else 1e-4
    losses, others = ([row["loss_nats"] for row in rows if "loss_nats" in row] for rows in (told, also_told))
    assert others == pytest.approx(losses, rel=near)
    assert len(losses) == 6
    assert all(torch.allclose(also[name], weight, atol=near) for name, weight in weights.items())
    assert any("mfu" in row for row in also_told) == ("bfloat16" in kind)


@pytest.mark.parametrize("work", [placed_runs.talk, placed_runs.serve, placed_runs.evaluate])
def test_models_that_people_open_answer_the_same(
    work: Callable[[str, Path], list[str]], apart: Apart, tmp_path: Path
) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cuda").mkdir()
    cpu, gpu = (apart.run(work, device, tmp_path / device) for device in ("cpu", "cuda"))
    assert gpu == cpu


def test_the_benchmark_of_gpus_runs_to_its_end(apart: Apart, tmp_path: Path) -> None:
    result = apart.run(placed_runs.measure, tmp_path / "result.json")
    assert result["gpu"] == "pretended H200"
    assert result["mfu"]["mfu"] is not None
    assert "bitsandbytes" in result["qlora"]["skipped"]
    assert len(result["families"]) == len(SAMPLES)


def _same_step(cpu: placed.Learnt, gpu: placed.Learnt) -> None:
    assert gpu.loss == pytest.approx(cpu.loss, rel=1e-4)
    assert gpu.norm == pytest.approx(cpu.norm, rel=1e-3)
    assert gpu.gradients.keys() == cpu.gradients.keys()
    for name, slope in cpu.gradients.items():
        assert torch.allclose(gpu.gradients[name], slope, rtol=1e-3, atol=1e-4), name
        sure = slope.abs() > STEP
        assert torch.allclose(gpu.weights[name][sure], cpu.weights[name][sure], rtol=1e-3, atol=1e-4), name


def _same(found: list[Tensor], wanted: list[Tensor]) -> bool:
    return all(torch.allclose(one, other, atol=1e-4) for one, other in zip(found, wanted, strict=True))
