"""Many requests at once: each gets the reply it would get alone, from every family, and turns compute nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, MistralConfig

from tests.models.pictures import ask, draw_pictures, encoded, pixels_of
from triptych.core import plugins
from triptych.core.records import Answer, Example, ImageRef, Text, Turn
from triptych.data.batch import collate
from triptych.data.plan.rendering import prompt_of
from triptych.data.template import parse_reply, stop_ids
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Engine, EngineSettings
from triptych.infer.local import LocalResponder
from triptych.models import toys
from triptych.models.attention.lengths import ENDLESS, reach_of
from triptych.models.families.llava import put_together
from triptych.models.families.tiny import tiny
from triptych.models.family import Family, Model, PartsPlan
from triptych.models.parts import Language
from triptych.models.vision.features import FeatureStore

FAMILIES = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
SAMPLES = {f"{family}-{name}": make for family, found in FAMILIES.items() for name, make in found.samples.items()}
SHORT = Sampling(max_tokens=10)


@pytest.fixture(scope="module", params=sorted(SAMPLES))
def model(request: pytest.FixtureRequest) -> Model:
    make: Callable[[int], Model] = SAMPLES[request.param]
    return make(0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4)


def questions(pictures: tuple[ImageRef, ...]) -> list[Example]:
    first, second, third, _ = pictures
    several = ask("several", first, "Here stand ", second, third, reply="three")
    again = replace(several, id="again", turns=(*several.turns, Turn("user", (Text("and "), first, Text("?")))))
    asked = [
        ask("middle", "Is ", first, " older than ", second, " ?", reply=""),
        ask("words", "What is two and two?", reply=""),
        ask("other", "Is ", first, " older than ", third, " , or is it as old, or was it never young?", reply=""),
        several,
    ]
    return [*(replace(each, turns=each.turns[:1]) for each in asked), again]


@pytest.fixture
def engine(model: Model) -> Iterator[Engine]:
    with Engine(model, features=FeatureStore(model)) as opened:
        yield opened


def generated(model: Model, question: Example, most: int) -> str:
    """Return what transformers' own ``generate`` says."""
    stops = sorted(stop_ids(model.template, model.tokenizer))
    batch = collate([[encoded(model, question, open_reply=True)]], pad_id=stops[0])
    with torch.no_grad():
        made = model.network.generate(  # type: ignore[operator]
            **model.inputs(batch, pixels_of(model, batch.images)),
            max_new_tokens=most,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )
    return parse_reply(made[0, batch.ids_BT.shape[1] :].tolist(), model.template, tokenizer=model.tokenizer)


def test_replies_to_many_at_once_are_those_of_transformers_one_by_one(
    model: Model, engine: Engine, pictures: tuple[ImageRef, ...]
) -> None:
    asked = questions(pictures)
    tickets = [engine.submit(question, SHORT) for question in asked]
    said = [ticket.join() for ticket in tickets]
    assert said == [generated(model, question, SHORT.max_tokens) for question in asked]
    assert len(set(said)) > 1, "replies that are all alike would prove nothing"
    for ticket, question in zip(tickets, asked, strict=True):
        prompt = encoded(model, question, open_reply=True)
        assert ticket.usage.tokens_in == len(prompt.ids)
        assert ticket.usage.image_tokens == sum(slot.stop - slot.start for slot in prompt.slots)
        assert 1 <= ticket.usage.tokens_out <= SHORT.max_tokens


def test_replies_are_those_of_the_responder(model: Model, engine: Engine, pictures: tuple[ImageRef, ...]) -> None:
    asked = questions(pictures)
    responder = LocalResponder(model, features=FeatureStore(model), name="alone")
    expected = {
        answer.id: answer.text for answer in responder.answer(asked, max_tokens=10) if isinstance(answer, Answer)
    }
    tickets = {question.id: engine.submit(question, SHORT) for question in asked}
    assert {name: ticket.join() for name, ticket in tickets.items()} == expected


def test_a_later_turn_says_what_a_fresh_engine_says_and_computes_only_what_is_new(
    model: Model, engine: Engine, pictures: tuple[ImageRef, ...]
) -> None:
    talk = Example("talk", (Turn("user", (Text("Here is "), pictures[0], Text(" and "), pictures[1], Text("."))),))
    before, reach = 0, reach_of(model.network.config.get_text_config()) or ENDLESS
    for number in range(4):
        ticket = engine.submit(talk, SHORT)
        reply = ticket.join()
        with Engine(model, features=FeatureStore(model)) as fresh:
            other = fresh.submit(talk, SHORT)
            assert other.join() == reply
            assert other.usage.cached_tokens == 0
        # What is longer than its layers reach is computed anew.
        if engine.joins and number and ticket.usage.tokens_in + SHORT.max_tokens <= reach:
            assert ticket.usage.cached_tokens >= before
        before = ticket.usage.tokens_in
        more = (Text(f"And number {number}: "), *((pictures[2],) if number == 1 else ()), Text("?"))
        talk = replace(talk, turns=(*talk.turns, Turn("assistant", (Text(reply),)), Turn("user", more)))


def test_requests_to_every_family_are_computed_together(engine: Engine) -> None:
    assert engine.joins


def test_images_side_by_side_are_seen_as_by_a_fresh_engine(
    model: Model, engine: Engine, pictures: tuple[ImageRef, ...]
) -> None:
    """Some families make one medium of images with nothing between them: what is known then ends before them."""
    lead, ending = Text("What is it that we see here: "), Text(" and why is it there?")
    shown = ((0,), (0, 1), (0, 1, 2), (0,), (1, 0), (0, 2), (0, 1))
    for number, order in enumerate(shown):
        parts = (lead, *(pictures[at] for at in order), ending)
        asked = Example(f"{number}", (Turn("user", parts),))
        assert engine.submit(asked, SHORT).join() == generated(model, asked, SHORT.max_tokens)


def windowed(window: int) -> Model:
    """Return a toy whose language model looks back through so many positions."""
    tokenizer = toys.toy_tokenizer()
    llama = toys.toy_llama(tokenizer, tied=False)
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    more = ("num_key_value_heads", "initializer_range", "bos_token_id", "eos_token_id", "pad_token_id")
    config = MistralConfig(**{name: getattr(llama, name) for name in (*names, *more)}, sliding_window=window)
    network = toys.seeded(3, lambda: AutoModelForCausalLM.from_config(config)).float().eval()
    parts = PartsPlan(
        vision="vit", language="mistral", projector="linear", image_tokens=None, template="chatml", seed=3
    )
    return put_together(toys.toy_vit(3), Language(network, tokenizer), plan=parts, sources={})


@pytest.mark.parametrize("window", [4, 90, 2048])
def test_requests_are_joined_as_long_as_a_window_holds_them(window: int, pictures: tuple[ImageRef, ...]) -> None:
    model = windowed(window)
    asked = [replace(each, id=f"{each.id} {turn}") for turn in range(2) for each in questions(pictures)]
    lengths = [len(prompt_of(each, model.rendering).ids) + SHORT.max_tokens for each in asked]
    assert window != 90 or min(lengths) < 90 < max(lengths)
    wanted = [generated(model, each, SHORT.max_tokens) for each in asked]
    with Engine(model, features=FeatureStore(model)) as engine:
        assert engine.joins == (window > 4)
        tickets = [engine.submit(question, SHORT) for question in asked]
        assert [ticket.join() for ticket in tickets] == wanted
        assert any(ticket.usage.cached_tokens for ticket in tickets) == (window > 4)
    responder = LocalResponder(model, name="toy", features=FeatureStore(model))
    assert responder.shares == (window > 4)
    found = {
        each.id: each.text for each in responder.answer(asked, max_tokens=SHORT.max_tokens) if isinstance(each, Answer)
    }
    assert [found[each.id] for each in asked] == wanted


def test_a_later_turn_encodes_no_image_again(tmp_path: Path) -> None:
    """Neither by the tower nor by what makes tokens of its features."""
    model, seen = tiny(3), []

    def note(_module: object, given: tuple[torch.Tensor, ...], _made: object) -> None:
        seen.append(len(given[0]))

    for part in ("vision", "projector"):
        model.parts()[part].register_forward_hook(note)
    pictures = draw_pictures(tmp_path, 4)
    talk = Example("talk", (Turn("user", (*pictures[:3], Text("What is first?"))),))
    with Engine(model, features=FeatureStore(model)) as engine:
        reply = engine.submit(talk, SHORT).join()
        assert seen
        seen.clear()
        turns = (*talk.turns, Turn("assistant", (Text(reply),)), Turn("user", (Text("And then?"),)))
        second = engine.submit(replace(talk, turns=turns), SHORT)
        second.join()
        assert seen == []
        shown = replace(talk, turns=(*turns[:-1], Turn("user", (Text("And "), pictures[3]))))
        engine.submit(shown, SHORT).join()
        assert set(seen) == {1}


def test_the_same_picture_from_another_file_is_the_same_and_a_changed_file_is_not(tmp_path: Path) -> None:
    model = tiny(3)
    first, second = (tmp_path / name for name in ("first.png", "second.png"))
    Image.new("RGB", (40, 40), "red").save(first)
    second.write_bytes(first.read_bytes())

    def about(path: Path) -> Example:
        return Example("one", (Turn("user", (ImageRef(str(path)), Text("What is on this picture?"))),))

    with Engine(model, features=FeatureStore(model)) as engine:
        engine.submit(about(first), SHORT).join()
        same = engine.submit(about(second), SHORT)
        same.join()
        assert same.usage.cached_tokens == same.usage.tokens_in - 1
        Image.radial_gradient("L").resize((50, 40)).convert("RGB").save(second)
        changed = engine.submit(about(second), SHORT)
        said = changed.join()
        assert changed.usage.cached_tokens < same.usage.image_tokens
    with Engine(model, features=FeatureStore(model)) as fresh:
        assert fresh.submit(about(second), SHORT).join() == said


def test_requests_under_way_share_what_they_begin_with(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(3)
    parts = (*pictures, Text("Tell a long story about them. "))
    asked = [Example(f"{number}", (Turn("user", (*parts, Text(f"{number}"))),)) for number in range(4)]
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(prefix_tokens=0)) as engine:
        tickets = [engine.submit(question, Sampling(max_tokens=40)) for question in asked]
        said = [ticket.join() for ticket in tickets]
        assert engine.state().prefix_tokens == 0
    assert tickets[0].usage.cached_tokens == 0
    assert all(ticket.usage.cached_tokens > ticket.usage.tokens_in // 2 for ticket in tickets[1:])
    assert said == [generated(model, question, 40) for question in asked]


def test_what_is_kept_is_bounded_and_what_was_used_longest_ago_goes_first(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(3)
    asked = [Example(f"{n}", (Turn("user", (pictures[n], Text(f"{n} is what we see"))),)) for n in range(4)]
    with Engine(model, features=FeatureStore(model)) as measuring:
        ticket = measuring.submit(asked[0], Sampling(max_tokens=2))
        ticket.join()
    room = 2 * ticket.usage.tokens_in + 10
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(prefix_tokens=room)) as engine:

        def cached(number: int) -> int:
            found = engine.submit(asked[number], Sampling(max_tokens=2))
            found.join()
            assert engine.state().prefix_tokens <= room
            return found.usage.cached_tokens

        image = engine.count(asked[0]).images[0]
        assert cached(0) < image
        assert cached(1) < image
        assert cached(0) > image
        assert cached(2) < image  # 1 goes, as 0 was used since
        assert cached(0) > image
        assert cached(1) < image


def test_what_the_model_sees_is_told_in_order(pictures: tuple[ImageRef, ...]) -> None:
    model = tiny(3)
    question = Example("one", (Turn("user", (Text("Is "), pictures[0], Text(" like "), pictures[1], Text("?"))),))
    with Engine(model, features=FeatureStore(model)) as engine:
        layout = engine.count(question)
        ticket = engine.submit(question, SHORT)
        ticket.join()
    assert layout.tokens == ticket.usage.tokens_in
    assert sum(layout.images) == ticket.usage.image_tokens
    assert [piece.image and piece.image.source for piece in layout.pieces if piece.image] == [
        picture.source for picture in pictures[:2]
    ]
    words = "|".join(piece.text for piece in layout.pieces)
    assert words.index("Is ") < words.index(" like ") < words.index("?")
    assert model.template.user.before.split()[0] in words
