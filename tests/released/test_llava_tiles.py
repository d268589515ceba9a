"""LLaVA-1.6's tiles against LLaVA-NeXT's released code, run on tiny weights: see ``make_llava_tiles.py``.

Several pictures of several tiles each, on Llama and on Mistral. Numbers are compared on the released ids and labels, so
that they say nothing of the tokenizer (``test_llava_v1_5.py`` does).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file

from tests.released.drawn import weights
from tests.released.llava_given import batch_of, close, encoded, shown
from tests.released.llava_shared import by_position, draw, folded
from tests.released.make_llava_tiles import GRIDS
from tests.released.test_llava_v1_5 import SEEN
from triptych.core.errors import ModelError
from triptych.core.records import Example
from triptych.data.format import load_examples
from triptych.data.plan.cost_config import cost_of_config
from triptych.data.plan.costs_tiled import AnyRes
from triptych.data.plan.rendering import prompt_of
from triptych.data.template import Encoded
from triptych.infer.local import LocalResponder
from triptych.models.family import Model, open_model
from triptych.models.features import FeatureStore

HERE = Path(__file__)
MADE: Mapping[str, Any] = json.loads(HERE.with_name("llava_tiles.json").read_text(encoding="utf-8"))
TOKENIZER = json.loads(HERE.with_name("llava_v1_5.json").read_text(encoding="utf-8"))["tokenizer"]
KINDS = {"llama": "vicuna_v1", "mistral": "llama_2", "llama_max": "vicuna_v1"}
"""Templates. The first turn of Llama 2's without a system turn is that of Mistral's."""


class Opened(NamedTuple):
    """A case: its model, and its rows as read and as the released code wrote them."""

    name: str
    model: Model
    read: Mapping[str, Example]
    given: Mapping[str, Encoded]

    @property
    def made(self) -> Mapping[str, Any]:
        """What the released code made."""
        found: Mapping[str, Any] = MADE[self.name]
        return found


def opened(name: str, folder: Path) -> Opened:
    made, tower = MADE[name], folder / "tower"
    tower.mkdir()
    (tower / "config.json").write_text(json.dumps({"model_type": "clip_vision_model", **MADE["tower"]}))
    (tower / "preprocessor_config.json").write_text(json.dumps(SEEN))
    kind = "Mistral" if name == "mistral" else "Llama"
    named = {"architectures": [f"Llava{kind}ForCausalLM"], "model_type": f"llava_{kind.lower()}"}
    said = {**made["config"], **named, "mm_vision_tower": str(tower)}
    (folder / "config.json").write_text(json.dumps(said))
    shapes = MADE["shapes"] | made.get("shapes", {})
    save_file(weights(shapes.items()), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", **ends}))
    (folder / "triptych.json").write_text(json.dumps({"template": KINDS[name]}))
    model = open_model(folder)
    draw(folder, MADE["rows"])
    (folder / "rows.json").write_text(json.dumps(MADE["rows"]))
    read = {each.id: each for each in load_examples(f"llava:{folder / 'rows.json'}", on_bad="raise").examples}
    given = {}
    for row in MADE["rows"]:
        named_ = row.get("image", [])
        images = [folder / each for each in ([named_] if isinstance(named_, str) else named_)]
        given[row["id"]] = encoded(row["id"], made["outcomes"][row["id"]], images, model)
    return Opened(name, model, read, given)


@pytest.fixture(scope="module", params=("llama", "mistral"))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened(request.param, tmp_path_factory.mktemp(request.param))


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
        with torch.no_grad():
            woven = model.weave(batch, model.encode(shown(model, batch)))
            logits = model.head(model.hidden(woven))[0, :, :size]
        assert close(by_position(woven.embeds_BTH[0]), made["given"]), name
        assert close(by_position(logits), made["logits"]), name
        loss = torch.nn.functional.cross_entropy(logits[:-1], batch.labels_BT[0, 1:])
        assert loss.item() == pytest.approx(made["loss"], abs=1e-5), name


def test_two_rows_in_a_batch_have_the_released_logits(case: Opened) -> None:
    model, size = case.model, case.made["config"]["vocab_size"]
    for first, second, _, logits in case.made["pairs"]:
        batch = batch_of(case.given[first], case.given[second])
        with torch.no_grad():
            ours = model.head(model.hidden(model.weave(batch, model.encode(shown(model, batch)))))
        for row, theirs in enumerate(logits):
            length = int((batch.segments_BT[row] >= 0).sum())
            kept = theirs[-length:] if case.name == "mistral" else theirs[:length]  # that one pads on the left
            assert close(by_position(ours[row, :length, :size]), kept)


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
        kept = made["reply"][: made["reply"].index(2)] if 2 in made["reply"] else made["reply"]
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
        opened("llama_max", tmp_path)
    assert "\n" not in str(refusal.value)
