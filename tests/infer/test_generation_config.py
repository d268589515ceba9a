"""Greedy replies are those of transformers' ``generate``, whatever ends and penalty a folder names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.models.pictures import ask, draw_pictures, encoded, pixels_of
from triptych.core.records import Answer, Example
from triptych.data.batch import collate
from triptych.data.template import parse_reply, stop_ids
from triptych.infer.decoding.generation_config import ends_of, named_ends_of, penalty_of
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Engine
from triptych.infer.local import LocalResponder
from triptych.models.disk.check import check_model
from triptych.models.families.llava import FAMILY
from triptych.models.family import Model, open_model
from triptych.models.vision.features import FeatureStore

MOST = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    FAMILY.samples["vit"](0).save(made)
    return made


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    one, two, three = draw_pictures(tmp_path_factory.mktemp("pictures"), 3)
    shown = [("a", one, "What is it?"), ("b", two, three, "Which is larger?"), ("c", "Say something.")]
    asked = [ask(name, *parts, reply="") for name, *parts in shown]  # type: ignore[arg-type]
    return [replace(each, turns=each.turns[:1]) for each in asked]


def opened(folder: Path, to: Path, **says: object) -> Model:
    """Return the model of a copy of the folder whose generation_config.json says this too."""
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    path = to / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | says))
    return open_model(to)


def generated(model: Model, questions: list[Example], **given: Any) -> dict[str, list[int]]:
    """Return the ids that ``generate`` makes of each question alone."""
    made = {}
    for question in questions:
        batch = collate([[encoded(model, question, open_reply=True)]], pad_id=0)
        ids_BT = model.network.generate(  # type: ignore[operator]
            **model.inputs(batch, pixels_of(model, batch.images)), max_new_tokens=MOST, do_sample=False, **given
        )
        made[question.id] = ids_BT[0, batch.ids_BT.shape[1] :].tolist()
    return made


def answered(model: Model, questions: list[Example], monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    monkeypatch.setattr(LocalResponder, "_words", lambda _, ids: json.dumps(list(ids)))
    responder = LocalResponder(model, features=FeatureStore(model), name="it")
    said = list(responder.answer(questions, max_tokens=MOST))
    return {each.id: json.loads(each.text) for each in said if isinstance(each, Answer)}


def test_a_penalty_for_repeating_is_followed(
    folder: Path, questions: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, strict = opened(folder, tmp_path / "plain"), opened(folder, tmp_path / "strict", repetition_penalty=1.5)
    assert (penalty_of(plain), penalty_of(strict)) == (1.0, 1.5)
    wanted = generated(strict, questions)
    assert wanted != generated(strict, questions, repetition_penalty=1.0), "a penalty that moves nothing shows nothing"
    assert answered(strict, questions, monkeypatch) == wanted
    with Engine(strict, features=FeatureStore(strict), name="it") as engine:
        for own, penalty in ((None, wanted), (1.0, generated(strict, questions, repetition_penalty=1.0))):
            sampling = Sampling(max_tokens=MOST, repetition_penalty=own)
            tickets = [engine.submit(question, sampling) for question in questions]
            for question, ticket in zip(questions, tickets, strict=True):
                words = parse_reply(penalty[question.id], strict.template, tokenizer=strict.tokenizer)
                assert "".join(delta.text for delta in ticket) == words


def test_a_reply_ends_with_any_end_that_the_folder_names(
    folder: Path, questions: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = opened(folder, tmp_path / "plain")
    (stop,) = ends_of(plain)
    early = next(each for ids in generated(plain, questions).values() for each in ids[2:] if each != stop)
    model = opened(folder, tmp_path / "two", eos_token_id=[stop, early])
    assert ends_of(model) == {stop, early}
    wanted = generated(model, questions)
    assert any(ids[-1] == early for ids in wanted.values())
    assert answered(model, questions, monkeypatch) == wanted


def test_a_further_end_is_never_said_though_it_is_a_word(
    folder: Path, questions: list[Example], tmp_path: Path
) -> None:
    plain = opened(folder, tmp_path / "plain")
    (stop,) = ends_of(plain)
    silent = plain.tokenizer.all_special_ids
    replies = generated(plain, questions)
    early = next(each for ids in replies.values() for each in ids[2:] if each not in silent)
    model = opened(folder, tmp_path / "two", eos_token_id=[stop, early])
    words = {
        name: parse_reply(ids[: ids.index(early)] if early in ids else ids, plain.template, tokenizer=plain.tokenizer)
        for name, ids in replies.items()
    }
    responder = LocalResponder(model, features=FeatureStore(model), name="it")
    said = [each for each in responder.answer(questions, max_tokens=MOST) if isinstance(each, Answer)]
    assert {each.id: each.text for each in said} == words
    with Engine(model, features=FeatureStore(model), name="it") as engine:
        tickets = [(each.id, engine.submit(each, Sampling(max_tokens=MOST))) for each in questions]
        assert {name: "".join(delta.text for delta in ticket) for name, ticket in tickets} == words


def test_without_a_file_of_its_own_nothing_is_guessed(folder: Path, tmp_path: Path) -> None:
    model = opened(folder, tmp_path / "bare")
    (tmp_path / "bare" / "generation_config.json").unlink()
    config = json.loads((tmp_path / "bare" / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 77
    config["eos_token_id"] = 77
    (tmp_path / "bare" / "config.json").write_text(json.dumps(config))
    bare = open_model(tmp_path / "bare")
    assert bare.network.generation_config is not None
    assert ends_of(bare) == ends_of(model)
    assert penalty_of(bare) == 1


def test_what_is_followed_is_told(folder: Path, tmp_path: Path) -> None:
    model = opened(folder, tmp_path / "told", repetition_penalty=1.05)
    (stop,) = ends_of(model)
    path = tmp_path / "told" / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [stop, 5]}))
    told = "\n".join(each.said for each in check_model(str(tmp_path / "told")))
    assert f"({stop}), as generation_config.json says, and with 5; the penalty for repeating is its 1.05" in told


UNFOLLOWED = {"bad_words_ids": [[5], [6, 7]], "begin_suppress_tokens": [5], "no_repeat_ngram_size": 2, "num_beams": 3}
NEUTRAL = {"num_beams": 1, "no_repeat_ngram_size": 0, "min_length": 0, "guidance_scale": 1.0, "bad_words_ids": None}


def test_what_changes_greedy_replies_and_is_not_followed_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = opened(folder, tmp_path / "told", **UNFOLLOWED)
    capsys.readouterr()
    named = "bad_words_ids, begin_suppress_tokens, no_repeat_ngram_size, num_beams"
    (stop,) = (each for each in check_model(str(tmp_path / "told")) if each.name == "stop")
    assert stop.said.endswith(f"; not followed here, though it changes what generate says greedily: {named}")
    LocalResponder(model, features=FeatureStore(model), name="it")
    with Engine(model, features=FeatureStore(model), name="it"):
        told = [line for line in capsys.readouterr().err.splitlines() if "not followed" in line]
    line = f"it: generation_config.json's {named} are not followed here: greedy replies may not be those of generate"
    assert told == [line, line]


def test_settings_that_change_nothing_are_not_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = opened(folder, tmp_path / "quiet", temperature=0.2, top_p=0.9, do_sample=True, **NEUTRAL)
    capsys.readouterr()
    LocalResponder(model, features=FeatureStore(model), name="it")
    assert "not followed" not in capsys.readouterr().err
    assert all("not followed" not in each.said for each in check_model(str(tmp_path / "quiet")))


def test_equal_replies_have_equal_fingerprints_and_a_penalty_another(folder: Path, tmp_path: Path) -> None:
    prints = []
    for number, says in enumerate(({}, {"repetition_penalty": 1.0}, {"repetition_penalty": 1.2})):
        model = opened(folder, tmp_path / str(number), **says)
        prints.append(LocalResponder(model, features=FeatureStore(model), name="it").fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_an_end_that_is_the_templates_own_is_read_by_it(folder: Path, tmp_path: Path) -> None:
    model = opened(folder, tmp_path / "own", eos_token_id=[5, 6])
    own = stop_ids(model.template, model.tokenizer)
    assert named_ends_of(model) == frozenset({5, 6})
    assert not named_ends_of(model) & own
    assert ends_of(model) == own | {5, 6}
