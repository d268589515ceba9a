"""Questions with some pictures among few words, and what each is answered alone, for the tests of the engine."""

from __future__ import annotations

import random
from dataclasses import dataclass

from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.plan.rendering import prompt_of
from triptych.data.template import stop_ids
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.prefix_cache import PromptKeys
from triptych.infer.engine.scheduler import Request, Scheduler
from triptych.infer.engine.ticket import Ticket, Usage
from triptych.models.family import Model
from triptych.models.vision.features import FeatureStore

WORDS = ("what", "is", "the", "second", "picture", "and", "older", "than", "that", "one", "over", "there", "not")

_alone: dict[Asked, str] = {}


def question(number: int, pictures: tuple[ImageRef, ...]) -> Example:
    rng = random.Random(number)
    parts: list[Text | ImageRef] = []
    for picture in rng.sample(pictures, rng.randint(0, 3)):
        parts += [Text(" ".join(rng.choices(WORDS, k=rng.randint(1, 4))) + " "), picture]
    return Example(f"q{number}", (Turn("user", (*parts, Text("?"))),))


@dataclass(frozen=True)
class Asked:
    number: int
    sampling: Sampling


def scheduler_of(model: Model, *, prefix_tokens: int) -> Scheduler:
    return Scheduler(
        model,
        features=FeatureStore(model),
        tokenizer=model.tokenizer,
        stops=stop_ids(model.template, model.tokenizer),
        tokens=4000,
        prefix_tokens=prefix_tokens,
    )


def request_of(asked: Asked, model: Model, pictures: tuple[ImageRef, ...], known: PromptKeys) -> Request:
    prompt = prompt_of(question(asked.number, pictures), model.rendering)
    ticket = Ticket(f"q{asked.number}", Usage(len(prompt.ids), 0, 0, 0))
    return Request(prompt, known.key(prompt), asked.sampling, ticket)


def alone(asked: Asked, model: Model, pictures: tuple[ImageRef, ...]) -> str:
    if asked not in _alone:
        scheduler = scheduler_of(model, prefix_tokens=0)
        request = request_of(asked, model, pictures, PromptKeys())
        scheduler.begin(request)
        while scheduler.running:
            scheduler.step()
        _alone[asked] = request.ticket.join()
    return _alone[asked]
