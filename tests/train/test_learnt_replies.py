"""Runs over replies that are not learnt: the loss and gradients of a plain loop, and the same run wherever rows lie."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForImageTextToText

from tests.train.runs import toy_recipe, write_tune
from triptych.core.errors import DataError, RunError
from triptych.core.files import read_json_lines
from triptych.core.records import Example
from triptych.data.batch import IGNORE, collate
from triptych.data.format import load_examples
from triptych.data.media.images import load_image
from triptych.data.plan import corpus as corpus_file
from triptych.data.plan.rendering import tokens_of
from triptych.data.template import Encoded
from triptych.train.recipe import Recipe, Tune
from triptych.train.stage_state import StageState, begin_stage
from triptych.train.start import start_model
from triptych.train.step import train_step
from triptych.train.trainer import Hooks, train

LAST = ('data: [{source: "messages:TUNE"}]', 'data: [{source: "messages:TUNE", transforms: [{kind: learn_last}]}]')
LLAVA = ("  family: tiny\n  parts: {vision: vit, language: llama}\n", "  family: llava\n  sample: vit\n")
FULL = ("language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}", "language: {train: full, rate: 1e-3}")


def recipe_of(folder: Path, *changes: tuple[str, str]) -> Recipe:
    tune = str(folder / "tune.jsonl")
    return toy_recipe(folder, *((old.replace("TUNE", tune), new.replace("TUNE", tune)) for old, new in changes))


def begun(folder: Path, recipe: Recipe) -> StageState:
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    return begin_stage(start_model(recipe.model, seed=1), stage, run=folder, seed=2)


def by_hand(state: StageState, example: Example, row: Encoded) -> list[int]:
    """Return the positions that are learnt: those of the last reply, as what the rendering adds with it."""
    rendering = state.model.rendering
    last = max(at for at, turn in enumerate(example.turns) if turn.role == "assistant")
    before = tokens_of(replace(example, turns=example.turns[:last]), rendering)
    assert row.ids[: len(before.ids)] == before.ids
    whole = tokens_of(example, rendering)
    return [at for at in range(len(before.ids), len(row.ids)) if whole.trained[at]]


def test_loss_and_gradient_are_those_of_a_plain_loop_over_last_replies(tmp_path: Path) -> None:
    state = begun(tmp_path / "run", recipe_of(tmp_path, LAST, LLAVA, FULL, ("pack_tokens: 160", "pack_tokens: 320")))
    state.model.save(tmp_path / "plain")
    network = AutoModelForImageTextToText.from_pretrained(tmp_path / "plain")
    network.train()
    rows = {row.id: row for row in load_examples(f"messages:{tmp_path / 'tune.jsonl'}", on_bad="raise").examples}
    encoded = [state.encoded[index] for pack in state.plan.step(0).packs for index in pack]
    assert any(sum(turn.role == "assistant" for turn in rows[row.id].turns) > 1 for row in encoded)
    learnt = [by_hand(state, rows[row.id], row) for row in encoded]
    tokens, total = sum(map(len, learnt)), 0.0
    for row, positions in zip(encoded, learnt, strict=True):
        batch = collate([[row]], pad_id=0)
        pictures = [state.model.pixels(load_image(image)) for image in batch.images]
        logits_BTV: Tensor = network(**state.model.inputs(batch, pictures)).logits
        wanted_T = torch.full((len(row.ids),), IGNORE)
        wanted_T[positions] = torch.tensor(row.ids)[positions]
        nats = cross_entropy(logits_BTV[0, :-1], wanted_T[1:], ignore_index=IGNORE, reduction="sum")
        (nats / tokens).backward()
        total += nats.item() / tokens
    moved = [w for name, w in network.named_parameters() if "vision" not in name and w.grad is not None]
    norm = torch.stack([w.grad.norm() for w in moved if w.grad is not None]).norm().item()
    report = train_step(state, 0)
    assert report.loss == pytest.approx(total, rel=1e-4)
    assert report.gradient_norm == pytest.approx(norm, rel=1e-3)


def marked(folder: Path, *, nothing: int = -1) -> Path:
    """Write the rows of the toy run with all but their last replies marked; of one row, all."""
    path = write_tune(folder)
    lines = []
    for number, line in enumerate(path.read_text().splitlines()):
        row = json.loads(line)
        replies = [message for message in row["messages"] if message["role"] == "assistant"]
        for message in replies if number == nothing else replies[:-1]:
            message["loss"] = False
        lines.append(json.dumps(row))
    (folder / "marked.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "marked.jsonl"


REFUSE = ("6 steps", "6 steps\n    on_bad: refuse")
APART = ("pack_tokens: 160", "pack_tokens: 160\n    in_memory_rows: 0\n    workers: 1")


def losses(folder: Path, file: Path, steps: str, *changes: tuple[str, str]) -> list[float]:
    """Return the losses of a run over a file's rows, some steps made of them."""
    source = f'data: [{{source: "messages:{file}", transforms: [{steps}]}}]'
    recipe = recipe_of(folder, ('data: [{source: "messages:TUNE"}]', source), REFUSE, *changes)
    found: list[float] = []
    train(
        recipe, run=folder / str(len(list(folder.iterdir()))), hooks=Hooks(after_step=lambda at: found.append(at.loss))
    )
    return found


@pytest.mark.parametrize("mode", ["memory", "kept", "workers"])
def test_marked_rows_and_the_step_are_one_run_wherever_rows_lie(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    if mode == "kept":
        monkeypatch.setattr(corpus_file, "IN_MEMORY_ROWS", 3)
    changes = [APART] if mode == "workers" else []
    once = "{kind: drop_repeats}" if mode == "kept" else "{kind: limit_images, most: 9}"
    path = marked(tmp_path)
    plain = tmp_path / "tune.jsonl"
    by_step = losses(tmp_path, plain, f"{once}, {{kind: learn_last}}", *changes)
    assert by_step == losses(tmp_path, path, once, *changes)
    assert by_step != losses(tmp_path, plain, once, *changes)


def test_a_row_that_teaches_nothing_is_refused_in_the_ledger(tmp_path: Path) -> None:
    path = marked(tmp_path, nothing=1)
    losses(tmp_path, path, "")
    (ledger,) = tmp_path.glob("*/ledger.jsonl")
    told = [entry for entry in read_json_lines(ledger) if "none of its replies is learnt" in json.dumps(entry)]
    assert [entry["id"] for entry in told if "id" in entry] == ["row-1"] or "row-1" in json.dumps(told)
    with pytest.raises(DataError, match=r"row 1 \(id 'row-1'\): none of its replies is learnt"):
        begun(tmp_path / "raising", recipe_of(tmp_path, ('"messages:TUNE"', f'"messages:{path}"')))


def test_a_run_with_the_step_is_another_run(tmp_path: Path) -> None:
    train(recipe_of(tmp_path, ("6 steps", "1 steps")), run=tmp_path / "run")
    with pytest.raises(RunError, match=r"stages\.tune\.data\.0\.transforms is \[\] there"):
        train(recipe_of(tmp_path, LAST, ("6 steps", "1 steps")), run=tmp_path / "run")


def test_validation_measures_what_its_own_step_says(tmp_path: Path) -> None:
    found = []
    for name, steps in (("all", "[]"), ("last", "[{kind: learn_last}]")):
        held = (
            f'validation: {{every: 6 steps, data: [{{source: "messages:{tmp_path}/tune.jsonl", transforms: {steps}}}]}}'
        )
        recipe = recipe_of(tmp_path, ("    step_tokens:", f"    {held}\n    step_tokens:"))
        train(recipe, run=tmp_path / name)
        found.append(next(iter(read_json_lines(tmp_path / name / "validation.jsonl"))))
    rows = load_examples(f"messages:{tmp_path / 'tune.jsonl'}", on_bad="raise").examples
    assert found[0]["loss_nats"] != found[1]["loss_nats"]
    counts = [int(str(each["trained_tokens"])) for each in found]
    assert counts[0] > counts[1] > len(rows)
