"""A local model's replies: the same alone and in company, and what happens to questions that cannot be asked."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import normalizers

from triptych.core.records import Answer, Example, ImageRef, Text, Turn
from triptych.data.media.images import load_image
from triptych.data.plan.rendering import prompt_of
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.local import LocalResponder
from triptych.infer.responder import Failed
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, open_model
from triptych.models.vision.features import FeatureStore

WORDS = ("what", "is", "the", "second", "picture", "and", "older", "than", "that", "one", "over", "there", "not")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for number, colour in enumerate(("red", "navy", "olive", "white", "teal")):
        path = folder / f"{colour}.png"
        Image.radial_gradient("L").resize((40 + number, 40)).convert("RGB").point(lambda v: v // 2).save(path)
        with Image.open(path) as gradient:
            Image.blend(gradient, Image.new("RGB", gradient.size, colour), 0.5).save(path)
        found.append(ImageRef(str(path)))
    return found


@pytest.fixture(scope="module")
def responder() -> LocalResponder:
    model = tiny(3)
    return LocalResponder(model, features=FeatureStore(model), batch_tokens=1200, name="tiny")


def questions(pictures: list[ImageRef], count: int = 12) -> list[Example]:
    rng = random.Random(5)
    made = []
    for number in range(count):
        parts: list[Text | ImageRef] = []
        for picture in rng.sample(pictures, rng.randint(0, 4)):
            parts += [Text(" ".join(rng.choices(WORDS, k=rng.randint(1, 6))) + " "), picture]
        made.append(Example(f"q{number}", (Turn("user", (*parts, Text("?"))),)))
    return made


def texts(found: list[Answer | Failed]) -> dict[str, str]:
    return {answer.id: answer.text for answer in found if isinstance(answer, Answer)}


def test_answers_in_batches_are_those_of_one_at_a_time(responder: LocalResponder, pictures: list[ImageRef]) -> None:
    asked = questions(pictures)
    together = texts(list(responder.answer(asked, max_tokens=24)))
    alone: dict[str, str] = {}
    for question in asked:
        alone |= texts(list(responder.answer([question], max_tokens=24)))
    assert together == alone
    assert len(set(together.values())) > len(asked) // 2, "replies that are all alike would prove nothing"


def test_answers_are_those_of_transformers_own_generate(responder: LocalResponder, pictures: list[ImageRef]) -> None:
    model = responder.model
    for question in questions(pictures, 4):
        encoded = prompt_of(question, model.rendering)
        shown = [slot.image for slot in encoded.slots]
        pixels = [model.pixels(load_image(image)).values for image in shown]
        ids = torch.tensor([encoded.ids])
        seen = {"pixel_values": torch.stack(pixels)} if pixels else {}
        generated = model.network.generate(  # type: ignore[operator]
            input_ids=ids,
            **seen,
            do_sample=False,
            max_new_tokens=16,
            eos_token_id=model.tokenizer.eos_token_id,
            pad_token_id=model.tokenizer.pad_token_id,
        )
        expected = model.tokenizer.decode(generated[0, len(encoded.ids) :], skip_special_tokens=True)
        (answer,) = responder.answer([question], max_tokens=16)
        assert isinstance(answer, Answer)
        assert answer.text == expected
        assert answer.tokens_in == len(encoded.ids)
        assert answer.cut == (model.tokenizer.eos_token_id not in generated[0, len(encoded.ids) :])


def test_every_question_is_answered_once_whatever_the_batches(pictures: list[ImageRef]) -> None:
    model = tiny(3)
    for budget in (1, 300, 100_000):
        responder = LocalResponder(model, features=FeatureStore(model), batch_tokens=budget, name="tiny")
        found = [answer.id for answer in responder.answer(questions(pictures), max_tokens=3)]
        assert sorted(found) == sorted(question.id for question in questions(pictures))


def test_a_broken_picture_fails_its_own_question_only(responder: LocalResponder, pictures: list[ImageRef]) -> None:
    torn = Path(pictures[0].source).with_name("torn.png")
    torn.write_bytes(Path(pictures[0].source).read_bytes()[:200])
    broken = Example("broken", (Turn("user", (ImageRef(str(torn)), Text("?"))),))
    gone = Example("gone", (Turn("user", (ImageRef(str(torn.with_name("gone.png"))), Text("?"))),))
    asked = questions(pictures, 4)
    found = {answer.id: answer for answer in responder.answer([broken, gone, *asked], max_tokens=4)}
    for name in ("broken", "gone"):
        failed = found.pop(name)
        assert isinstance(failed, Failed)
        assert "torn.png" in failed.reason or "gone.png" in failed.reason
    assert texts(list(found.values())) == texts(list(responder.answer(asked, max_tokens=4)))


def test_a_batch_that_the_memory_does_not_hold_is_asked_one_by_one(pictures: list[ImageRef]) -> None:
    """A hook runs out of memory as a small device would; what is too long for it even alone has failed."""
    model, most = tiny(3), 0

    def small(module: torch.nn.Module, values: object, named: dict[str, torch.Tensor]) -> None:
        if (embeds := named.get("inputs_embeds")) is not None and embeds.shape[0] * embeds.shape[1] > most:
            raise torch.OutOfMemoryError

    asked = questions(pictures, 6)
    responder = LocalResponder(model, features=FeatureStore(model), share=False, name="tiny")
    before = {answer.id: answer for answer in responder.answer(asked, max_tokens=4)}
    lengths = sorted(answer.tokens_in for answer in before.values() if isinstance(answer, Answer))
    most = lengths[-2]
    with_hook = model.network.register_forward_pre_hook(small, with_kwargs=True)
    found = {answer.id: answer for answer in responder.answer(asked, max_tokens=4)}
    with_hook.remove()
    (lost,) = [answer for answer in found.values() if isinstance(answer, Failed)]
    assert "memory" in lost.reason
    assert texts(list(found.values())) == {
        name: text for name, text in texts(list(before.values())).items() if name != lost.id
    }


def test_a_question_that_is_too_long_fails_and_says_by_how_much(responder: LocalResponder) -> None:
    long = Example("long", (Turn("user", (Text("word " * 600),)),))
    (failed,) = responder.answer([long])
    assert isinstance(failed, Failed)
    assert "2048" in failed.reason


def test_a_conversation_that_ends_in_a_reply_is_no_question(responder: LocalResponder) -> None:
    done = Example("done", (Turn("user", (Text("Hello"),)), Turn("assistant", (Text("Hi"),))))
    (failed,) = responder.answer([done])
    assert isinstance(failed, Failed)
    assert "end in a user turn" in failed.reason


def test_the_fingerprint_follows_the_weights() -> None:
    def fingerprint(seed: int, nudge: float) -> str:
        model = tiny(seed)
        with torch.no_grad():
            next(model.parts()["language"].parameters()).view(-1)[7] += nudge
        return LocalResponder(model, features=FeatureStore(model), name="tiny").fingerprint

    assert fingerprint(1, 0.0) == fingerprint(1, 0.0)
    assert len({fingerprint(1, 0.0), fingerprint(2, 0.0), fingerprint(1, 1e-3)}) == 3


def test_the_fingerprint_follows_settings_and_tokenizer_and_not_the_folder(tmp_path: Path) -> None:
    def fingerprint(model: Model) -> str:
        return LocalResponder(model, features=FeatureStore(model), name="tiny").fingerprint

    tiny(3).save(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    assert fingerprint(open_model(str(tmp_path / "one"))) == fingerprint(open_model(str(tmp_path / "other")))
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    config["text_config"]["rope_parameters"]["rope_theta"] = 500.0
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    words = tiny(3)
    words.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    found = [tiny(3), open_model(str(tmp_path / "other")), words]
    assert len(set(map(fingerprint, found))) == 3


def follow_ups(pictures: list[ImageRef], stories: int = 4) -> list[Example]:
    """Several questions on the same pictures, told as one conversation or as several that begin alike."""
    made = []
    for story in range(stories):
        shown: list[Text | ImageRef] = []
        for picture in pictures[story % 2 : story % 2 + 3]:
            shown += [Text(f"Picture {len(shown)} of {story}: "), picture]
        turns: tuple[Turn, ...] = ()
        for number, ending in enumerate(("What is first?", "Which is older?", "Is the last one red?")):
            alone = Turn("user", (*shown, Text(f" {ending}")))
            made.append(Example(f"alone-{story}-{number}", (alone,)))
            turns = (*turns, alone if number == 0 else Turn("user", (Text(ending),)))
            made.append(Example(f"chain-{story}-{number}", turns))
            turns = (*turns, Turn("assistant", (Text("the second"),)))
    return made


def test_answers_are_the_same_with_shared_beginnings_and_without(pictures: list[ImageRef]) -> None:
    asked = [*follow_ups(pictures, 2), *questions(pictures, 6)]
    model = tiny(3)
    found = []
    for share, budget in ((False, 1), (True, 900), (True, 4000), (False, 4000)):
        responder = LocalResponder(model, features=FeatureStore(model), batch_tokens=budget, share=share, name="tiny")
        assert responder.shares == share
        found.append(texts(list(responder.answer(asked, max_tokens=8))))
    assert found[0].keys() == {question.id for question in asked}
    assert all(each == found[0] for each in found)


def test_a_shared_beginning_is_computed_once(pictures: list[ImageRef]) -> None:
    model = tiny(3)
    positions = 0

    def count(module: torch.nn.Module, values: object, named: dict[str, torch.Tensor]) -> None:
        nonlocal positions
        if (embeds := named.get("inputs_embeds")) is not None:
            positions += embeds.shape[0] * embeds.shape[1]

    counted = {}
    for share in (False, True):
        responder = LocalResponder(model, features=FeatureStore(model), share=share, name="tiny")
        assert responder.shares == share
        positions = 0
        hook = model.network.register_forward_pre_hook(count, with_kwargs=True)
        list(responder.answer(follow_ups(pictures), max_tokens=1))
        hook.remove()
        counted[share] = positions
    assert counted[True] < counted[False] / 2


def test_a_broken_picture_in_a_group_fails_its_own_questions_only(pictures: list[ImageRef], tmp_path: Path) -> None:
    model = tiny(3)
    responder = LocalResponder(model, features=FeatureStore(model), name="tiny")
    torn = tmp_path / "torn.png"
    torn.write_bytes(Path(pictures[0].source).read_bytes()[:200])
    asked = follow_ups([*pictures[:2], ImageRef(str(torn)), *pictures[2:]], stories=2)
    whole = follow_ups(pictures, stories=1)
    whole = [replace(question, id=f"whole-{question.id}") for question in whole]
    found = list(responder.answer([*asked, *whole], max_tokens=4))
    assert {answer.id for answer in found if isinstance(answer, Failed)} == {question.id for question in asked}
    assert texts(found) == texts(list(responder.answer(whole, max_tokens=4)))


def drawing(model: Model, seed: int, *, budget: int = 1200, share: bool = True) -> LocalResponder:
    sampling = Sampling(temperature=1.0, top_p=0.9, seed=seed)
    features = FeatureStore(model)
    return LocalResponder(model, features=features, batch_tokens=budget, share=share, sampling=sampling, name="tiny")


def test_drawn_answers_depend_on_seed_and_prompt_and_not_on_the_batch(pictures: list[ImageRef]) -> None:
    model, asked = tiny(3), questions(pictures, 8)
    asked.append(replace(asked[0], id="twin"))
    found = [
        texts(list(drawing(model, 5, budget=budget, share=share).answer(asked, max_tokens=12)))
        for budget, share in ((1, False), (1200, True), (100_000, False))
    ]
    assert found[0] == found[1] == found[2]
    assert found[0]["twin"] == found[0]["q0"], "equal prompts are asked once"
    other = texts(list(drawing(model, 6).answer(asked, max_tokens=12)))
    greedy = texts(list(LocalResponder(model, features=FeatureStore(model), name="").answer(asked, max_tokens=12)))
    assert len({tuple(sorted(each.items())) for each in (found[0], other, greedy)}) == 3


def test_the_fingerprint_follows_what_is_drawn_by_and_a_greedy_one_nothing() -> None:
    model = tiny(3)

    def fingerprint(sampling: Sampling) -> str:
        return LocalResponder(model, features=FeatureStore(model), sampling=sampling, name="").fingerprint

    plain = LocalResponder(model, features=FeatureStore(model), name="").fingerprint
    assert fingerprint(Sampling(seed=7, max_tokens=3, top_p=0.5)) == plain
    drawn = [Sampling(temperature=1.0), Sampling(temperature=1.0, seed=1), Sampling(temperature=1.0, top_p=0.5)]
    assert len({plain, *map(fingerprint, drawn)}) == 4
