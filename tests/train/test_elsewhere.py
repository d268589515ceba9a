"""What other trainers call a setting is answered with what it is called here, and that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.train.runs import recipe_text
from triptych.core.config import load_config
from triptych.core.errors import ConfigError
from triptych.data.plan.budget import Budget
from triptych.train.elsewhere import ELSEWHERE
from triptych.train.recipe import Full, Lora, ModelPlan, Recipe, Stage, Tune, Validation

MIGRATING = Path(__file__).parents[2] / "docs" / "migrating.md"
KNOWN = {name for node in (Recipe, Stage, Tune, Lora, Full, ModelPlan, Validation) for name in node.model_fields} | {
    *Budget.__dataclass_fields__,
    "PART",
    "kind",
}


def test_a_setting_of_another_trainer_is_answered_with_ours(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(recipe_text(tmp_path))
    with pytest.raises(
        ConfigError, match=r"override stages\.tune\.learning_rate: unknown key\. Here it is parts\.PART\.rate"
    ):
        load_config(path, ["stages.tune.learning_rate=1e-4"], model=Recipe)
    with pytest.raises(ConfigError, match=r"override save_total_limit: unknown key\. Here it is keep_checkpoints"):
        load_config(path, ["save_total_limit=3"], model=Recipe)
    with pytest.raises(ConfigError, match=r"unknown key\. Did you mean 'length'\? There are:"):
        load_config(path, ["stages.tune.lenght=3 steps"], model=Recipe)


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_what_is_named_here_exists_and_is_not_called_so(name: str) -> None:
    assert name not in KNOWN
    first = re.match(r"[\w.]+", ELSEWHERE[name])
    assert first is not None
    assert {*first.group().split(".")} <= KNOWN or first.group() in ("the", "nothing")


def test_every_name_of_the_table_in_the_docs_is_answered() -> None:
    rows = [line.split("|")[1] for line in MIGRATING.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    said = {found.split(":")[0] for row in rows for found in re.findall(r"`([a-z_]+)(?::[^`]*)?`", row)}
    assert said <= {*ELSEWHERE}
