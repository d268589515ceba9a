"""Every family answers in bfloat16 as it does in float32, but for rounding; and where it computes can be said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.models.pictures import ask, draw_pictures, encoded
from triptych.core import plugins
from triptych.core.errors import ConfigError
from triptych.core.records import Answer, Example, ImageRef
from triptych.data.batch import collate
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Engine
from triptych.infer.local import LocalResponder
from triptych.models.families.tiny import tiny
from triptych.models.family import Family, Model
from triptych.models.memory.placement import computing, device_of, open_to_answer, place_to_answer
from triptych.models.vision.features import FeatureStore

FAMILIES = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
SAMPLES = {f"{family}-{name}": make for family, found in FAMILIES.items() for name, make in found.samples.items()}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    first, second = draw_pictures(tmp_path_factory.mktemp("pictures"), 2)
    return [
        question("both", "Is ", first, " older than ", second, " ?"),
        question("words", "What is two and two?"),
        question("one", "And ", second, " ?"),
    ]


def question(name: str, *parts: str | ImageRef) -> Example:
    asked = ask(name, *parts, reply="")
    return Example(name, asked.turns[:1])


def logits(model: Model, asked: Example) -> torch.Tensor:
    batch = collate([[encoded(model, asked)]], pad_id=0)
    features = FeatureStore(model).features(batch.images, spans=batch.spans)
    with torch.inference_mode(), computing(model):
        return model.head(model.hidden(model.weave(batch, features)))[0, -1].float()


@pytest.mark.parametrize("make", SAMPLES.values(), ids=list(SAMPLES))
def test_every_family_answers_in_bfloat16(make: Callable[[int], Model], questions: list[Example]) -> None:
    whole = place_to_answer(make(0), device=CPU, precision="float32")
    half = place_to_answer(make(0), device=CPU, precision="bfloat16")
    assert any(weight.dtype == torch.bfloat16 for weight in half.network.parameters())
    assert all(weight.dtype == torch.float32 for weight in half.parts()["vision"].parameters())
    for asked in questions:
        wanted, found = logits(whole, asked), logits(half, asked)
        assert (found - wanted).abs().max() <= 0.05 * wanted.abs().max()
    batched = LocalResponder(half, features=FeatureStore(half), name="half")
    replies = {said.id: said for said in batched.answer(questions, max_tokens=5)}
    assert all(isinstance(said, Answer) and said.tokens_out for said in replies.values())
    with Engine(half, features=FeatureStore(half)) as engine:
        tickets = [engine.submit(asked, Sampling(max_tokens=5, ignore_stop=True)) for asked in questions]
        assert all(ticket.join() for ticket in tickets)


def test_a_responder_in_another_precision_is_another_one(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "model")
    told = set()
    for precision in ("float32", "bfloat16"):
        model = open_to_answer(str(tmp_path / "model"), device="cpu", precision=precision)
        told.add(LocalResponder(model, features=FeatureStore(model), name="m").fingerprint)
    assert len(told) == 2


def test_a_device_that_is_not_there_is_named_with_those_that_are() -> None:
    assert device_of("cpu") == CPU
    with pytest.raises(ConfigError, match=r"^device=cuda:99: torch sees no such device here. There are: auto, cpu"):
        device_of("cuda:99")
    with pytest.raises(ConfigError, match="device=tpu"):
        device_of("tpu")
