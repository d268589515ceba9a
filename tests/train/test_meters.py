"""What is measured of a step: speeds, padding, waiting, and MFU only where a device's peak is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.train.runs import toy_recipe
from triptych.core.files import read_json_lines
from triptych.train.forecast.gpus import GPUS
from triptych.train.measuring.meters import StepReport
from triptych.train.measuring.peak import gpu_peak, peak_of
from triptych.train.trainer import train

REPORT = StepReport(
    stage="tune",
    step=3,
    total_steps=9,
    epoch=1,
    loss=0.5,
    gradient_norm=1.0,
    rates={"language": 1e-3},
    tokens=900,
    supervised=100,
    images=8,
    packing_fill=0.9,
    wall_s=2.0,
    wait_s=0.25,
    memory_gib=1.5,
)


def test_a_record_tells_speeds_and_the_share_of_padding() -> None:
    record = REPORT.record()
    assert record["tokens_per_s"] == 450.0
    assert record["trained_tokens_per_s"] == 50.0
    assert record["images_per_s"] == 4.0
    assert record["packing_fill"] == 0.9
    assert record["padding_share"] == pytest.approx(0.1)
    assert record["wait_s"] == 0.25
    assert "mfu" not in record
    assert replace(REPORT, mfu=0.41234).record()["mfu"] == 0.4123


def test_a_score_head_counts_targets_not_tokens() -> None:
    record = replace(REPORT, scores="mse").record()
    assert record["targets_per_s"] == 50.0
    assert "trained_tokens_per_s" not in record
    assert record["loss_squared"] == 0.5


def test_a_step_is_told_in_a_line_with_units() -> None:
    said = replace(REPORT, mfu=0.4).told()
    speeds = "400 tokens/s, 3.56 images/s, waiting for data 11%"
    assert said == f"loss 0.500 nats a token, {speeds}, 1.50 GiB, MFU 40.0%, epoch 2"
    assert "450 tokens/s, 4 images/s, 1.50 GiB" in replace(REPORT, wait_s=0.0).told()
    assert "images" not in replace(REPORT, images=0).told()


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("NVIDIA A100-SXM4-40GB", "a100-40g"),
        ("NVIDIA H100 80GB HBM3", "h100-80g"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H200 NVL", None),
        ("NVIDIA A10G", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("Radeon", None),
    ],
)
def test_a_gpu_s_peak_is_known_by_its_name_or_not_at_all(name: str, row: str | None) -> None:
    assert gpu_peak(name) == (None if row is None else GPUS[row].tflops * 1e12)


def test_a_cpu_s_peak_is_measured_only_where_it_is_asked_for() -> None:
    cpu = torch.device("cpu")
    assert peak_of(cpu, precision="float32", measure=False) is None
    measured = peak_of(cpu, precision="float32", measure=True)
    assert measured is not None
    assert 1e8 < measured < 1e15


def test_a_run_tells_mfu_where_the_peak_is_measured_and_else_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    length = ("length: 6 steps", "length: 2 steps")
    train(toy_recipe(tmp_path, length), run=tmp_path / "plain")
    said = capsys.readouterr().err
    assert "tune: step 1/2, loss " in said
    assert "tune: step 2/2, loss " in said
    assert " images/s, " in said
    train(toy_recipe(tmp_path, length, ("seed: 3", "seed: 3\nlog: {measure_peak: true}")), run=tmp_path / "asked")
    plain, asked = (
        [record for record in read_json_lines(tmp_path / name / "metrics.jsonl") if "loss_nats" in record]
        for name in ("plain", "asked")
    )
    assert [record["loss_nats"] for record in plain] == [record["loss_nats"] for record in asked]
    assert not any("mfu" in record for record in plain)
    assert all(0 < float(str(record["mfu"])) < 1.5 for record in asked)
