"""What a toy model of a family does on one device, as plain values: to be compared with what it does on another.

Run in a process of its own (``tests/every/test_devices.py``). What is returned is in the host's memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of
from tests.pretended import waiting
from triptych.core import plugins
from triptych.core.records import Answer, Example, Text, Turn
from triptych.data.batch import Batch, collate
from triptych.data.plan.rendering import encode
from triptych.data.plan.scoring import Scoring
from triptych.data.template import Encoded
from triptych.infer.decoding.decode import can_share
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Engine, EngineSettings
from triptych.infer.engine.slots import shape_of
from triptych.infer.engine.ticket import Ticket
from triptych.infer.local import LocalResponder
from triptych.infer.scores import Scored, Scorer
from triptych.models.adapters import AdapterPlan, add_adapter, merge
from triptych.models.family import Family, Model, open_model
from triptych.models.heads import ScoreHead
from triptych.models.memory.half_precision import downcast_frozen
from triptych.models.memory.placement import Precision, device_of, place, place_to_answer
from triptych.models.vision.features import FeatureStore
from triptych.train.loss import batch_loss
from triptych.train.optim import clip_gradients, make_optimizer
from triptych.train.recipe import Full, PartPlans
from triptych.train.release import moving_weights

FAMILIES = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
SAMPLES = {f"{family}-{name}": make for family, found in FAMILIES.items() for name, make in found.samples.items()}
GREEDY = Sampling(max_tokens=5)
DRAWN = Sampling(max_tokens=5, temperature=0.8, top_p=0.9, top_k=20, seed=4, repetition_penalty=1.1, logprobs=2)
SCORING = Scoring(targets=("any", "count"))


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a step of training did."""

    loss: float
    norm: float
    gradients: dict[str, Tensor]
    weights: dict[str, Tensor]
    """After the step."""


def examples_of(folder: Path) -> list[Example]:
    """Return conversations about 0 to 3 pictures, one of them with two turns."""
    first, second, third = draw_pictures(folder, 3)
    several = ask("several", first, "Here stand ", second, third, reply="three")
    again = (Turn("user", (Text("and "), first, Text("?"))), Turn("assistant", (Text("the same"),)))
    return [
        ask("middle", "Is ", first, " older than ", second, " ?", reply="yes"),
        ask("words", "What is two and two?", reply="four"),
        replace(several, turns=several.turns + again),
    ]


def questions_of(folder: Path) -> list[Example]:
    """Return the same, each without its last reply."""
    return [replace(example, turns=example.turns[:-1]) for example in examples_of(folder)]


def fresh(sample: str, device: str) -> Model:
    """Return a new toy on a device."""
    model = SAMPLES[sample](0)
    model.network.train(False)
    place(model, device_of(device))
    return model


def learn_whole(sample: str, device: str, folder: Path) -> Learnt:
    """Learn replies with every weight, the tower's too, from a pack."""
    model = fresh(sample, device)
    return _step(model, _pack(model, folder), features=None)


def learn_adapter(sample: str, device: str, folder: Path) -> Learnt:
    """Learn with DoRA, from features that are kept."""
    model = _adapted(sample)
    place(model, device_of(device))
    return _step(model, _pack(model, folder), features=FeatureStore(model, folder / device))


def learn_in_16_bits(sample: str, device: str, folder: Path, *, small: bool) -> Learnt:
    """Learn with DoRA under autocast, of matrices that fit in 16 bits: kept so, or not."""
    model = _adapted(sample, whole=False)
    if small:
        assert downcast_frozen(model.network, model.parts()["language"]) > 0
    place(model, device_of(device))
    with torch.autocast(device_of(device).type, torch.bfloat16):
        return _step(model, _pack(model, folder), features=FeatureStore(model))


def waits(sample: str, folder: Path) -> list[str]:
    """Return what the host waits for in a pass forth and back with every weight; what is tried once is done before."""
    model = fresh(sample, "cuda")
    batch = _pack(model, folder)
    with waiting() as heard:
        for _ in range(2):
            heard.clear()
            seen = model.encode(pixels_of(model, batch.images))
            hidden_BTH = model.hidden(model.weave(batch, seen))
            batch_loss(model, hidden_BTH, batch=batch, scores=False, step_supervised=batch.supervised).share.backward()
    return heard


def learn_scores(sample: str, device: str, folder: Path) -> Learnt:
    """Learn numbers with a score head and the language model."""
    model = SAMPLES[sample](0)
    model.parts()["vision"].requires_grad_(False)
    model.score_head = ScoreHead(SCORING, model.network.config.get_text_config().hidden_size, seed=1)
    place(model, device_of(device))
    return _step(model, collate([_scored(model, folder)], pad_id=0), features=FeatureStore(model), scores=True)


def talk(sample: str, device: str, folder: Path, *, precision: Precision) -> list[str]:
    """Return replies by the engine, greedy and drawn, of requests that come together and of one that goes on."""
    model = place_to_answer(SAMPLES[sample](0), device=device_of(device), precision=precision)
    questions = questions_of(folder)
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(rows=2)) as engine:
        asked = [(questions[0], GREEDY), *((each, DRAWN) for each in questions)]
        replies = [_heard(ticket) for ticket in [engine.submit(*each) for each in asked]]
        longer = (Turn("assistant", (Text(replies[0]),)), Turn("user", (Text("Why so?"),)))
        replies += [_heard(engine.submit(replace(questions[0], turns=questions[0].turns + longer), GREEDY))]
        return [*replies, "joins" if engine.joins else "one by one"]


def talk_as_saved(sample: str, device: str, folder: Path, *, saved: str, precision: Precision) -> list[str]:
    """Return replies of a model whose folder holds 16 bits, to several requests, and what it computes in."""
    kind = {"float16": torch.float16, "bfloat16": torch.bfloat16}[saved]
    model = SAMPLES[sample](0)
    model.network.to(kind)
    place_to_answer(model, device=device_of(device), precision=precision)
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(rows=2)) as engine:
        said = [_heard(ticket) for ticket in [engine.submit(each, GREEDY) for each in questions_of(folder)]]
    kinds = {str(each.dtype).removeprefix("torch.") for each in model.parts()["language"].parameters()}
    return [*said, " ".join(sorted(kinds))]


def comes_together(sample: str, device: str, *, precision: Precision) -> tuple[bool, bool]:
    """Return whether requests join a running engine, and whether questions share their beginnings."""
    model = place_to_answer(SAMPLES[sample](0), device=device_of(device), precision=precision)
    return shape_of(model) is not None, can_share(model)


def answer(sample: str, device: str, folder: Path) -> list[str]:
    """Return replies in batches, beginnings shared, as an evaluation asks."""
    model = place_to_answer(SAMPLES[sample](0), device=device_of(device), precision="float32")
    responder = LocalResponder(model, name=sample, features=FeatureStore(model))
    questions = [replace(each, id=f"{each.id} {n}") for n in range(2) for each in questions_of(folder)]
    found = {each.id: each.text for each in responder.answer(questions, max_tokens=5) if isinstance(each, Answer)}
    return [found[each.id] for each in questions]


def score(sample: str, device: str, folder: Path) -> list[tuple[float, ...]]:
    """Return what a score head says of conversations."""
    model = SAMPLES[sample](0)
    model.score_head = ScoreHead(SCORING, model.network.config.get_text_config().hidden_size, seed=1)
    place_to_answer(model, device=device_of(device), precision="float32")
    scorer = Scorer(model, features=FeatureStore(model))
    found = {each.id: each.scores for each in scorer.score(questions_of(folder)) if isinstance(each, Scored)}
    return [found[each.id] for each in questions_of(folder)]


def features(sample: str, device: str, folder: Path) -> list[Tensor]:
    """Return what the tower sees, kept in memory, kept on the disk, and read again."""
    model, images = fresh(sample, device), draw_pictures(folder, 3)
    model.network.requires_grad_(False)
    stores = [FeatureStore(model), FeatureStore(model, folder / "kept"), FeatureStore(model, folder / "kept")]
    found = [seen.values for store in stores for seen in store.features(images)]
    assert {values.device.type for values in found} == {"cpu"}
    return found


def save(sample: str, device: str, folder: Path) -> Tensor:
    """Save where it is, then with an adapter that was merged; return the logits of what opens on the host again."""
    model = fresh(sample, device)
    model.network.requires_grad_(False)
    model.save(folder / "plain")
    adapted = _adapted(sample)
    place(adapted, device_of(device))
    merge(adapted).save(folder / "merged")
    opened = [open_model(folder / name) for name in ("plain", "merged")]
    assert opened[0].fingerprint() == model.fingerprint()
    return torch.cat([logits_of(each, _pack(each, folder)).detach() for each in opened])


def _pack(model: Model, folder: Path) -> Batch:
    return collate([[encoded(model, example) for example in examples_of(folder)]], pad_id=0)


def _scored(model: Model, folder: Path) -> list[Encoded]:
    rows = []
    for number, example in enumerate(questions_of(folder)):
        labels = (("any", float(number != 1)), ("count", float(number)))
        found = encode(replace(example, labels=labels), replace(model.rendering, scored=SCORING))
        assert isinstance(found, Encoded), found
        rows.append(found)
    return rows


def _adapted(sample: str, *, whole: bool = True) -> Model:
    """Return a toy whose adapter changes something: half of it begins at zero."""
    model = SAMPLES[sample](0)
    with torch.no_grad():
        for weight in () if whole else model.network.parameters():
            weight.copy_(weight.bfloat16())
    model.network.requires_grad_(False)
    add_adapter(model, AdapterPlan(rank=2, alpha=4, targets="all-linear", dropout=0.0, seed=1, decomposed=True))
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=draws) * 0.1)
    return model


def _step(model: Model, batch: Batch, *, features: FeatureStore | None, scores: bool = False) -> Learnt:
    """Do one step of training as ``train/tune.py`` does it."""
    if features is None:
        shown = {image: model.encode(pixels_of(model, [image]))[0] for image in dict.fromkeys(batch.images)}
        seen = [shown[image] for image in batch.images]
    else:
        seen = features.features(batch.images, spans=batch.spans)
    hidden_BTH = model.hidden(model.weave(batch, seen))
    loss = batch_loss(model, hidden_BTH, batch=batch, scores=scores, step_supervised=batch.supervised).share
    loss.backward()
    weights = moving_weights(model)
    moving = {name.partition(".")[0] for name in weights}
    plans = PartPlans(**{part: Full(train="full", rate=1e-3) for part in sorted(moving)})
    optimizer = make_optimizer(weights, plans, decay=0.01, betas=(0.9, 0.98))
    gradients = {name: weight.grad.cpu() for name, weight in weights.items() if weight.grad is not None}
    norm = clip_gradients(weights.values(), largest=1e9)
    optimizer.step()
    assert {weight.device.type for weight in weights.values()} == {model.device.type}
    return Learnt(loss.item(), norm, gradients, {name: weight.detach().cpu() for name, weight in weights.items()})


def _heard(ticket: Ticket) -> str:
    return "".join(delta.text for delta in ticket)
