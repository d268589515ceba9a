"""Every template in the drawer: named as its file, explained, sourced, and its clean variant a true one."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.test_template_properties import OTHERS
from tests.toys import encode, talk, toy_images, toy_tokenizer
from triptych.core.errors import NotFoundError
from triptych.data.template import find_template, stop_id, template_names, template_of_jinja

NAMES = template_names()
CLEAN = [name for name in NAMES if name.endswith("_clean")]
HEADERS = [name for name in NAMES if "header" in find_template(name).also_trained]

every_name = pytest.mark.parametrize("name", NAMES)


@every_name
def test_a_template_is_called_as_its_file(name: str) -> None:
    assert find_template(name).name == name


@every_name
def test_a_file_says_what_its_template_is_and_where_it_is_from(name: str) -> None:
    explained = importlib.import_module(f"triptych.data.templates.{name}").__doc__ or ""
    assert explained.startswith(f"{name}: ")
    assert "Source: " in explained or name == "chatml"


@every_name
def test_a_reply_ends_with_one_token(name: str) -> None:
    assert isinstance(stop_id(find_template(name), toy_tokenizer(*OTHERS)), int)


@every_name
def test_a_chat_template_leads_back_to_a_template_of_the_same_ids_with_the_plainest_mask(name: str) -> None:
    template = find_template(name)
    found = template_of_jinja(template.jinja)
    assert found is not None
    same = replace(template, name=found.name, also_trained=found.also_trained, images_apart=found.images_apart)
    assert found == replace(same, trained_tokens=found.trained_tokens)
    assert len(found.also_trained) <= len(template.also_trained)


def test_a_strange_chat_template_leads_nowhere() -> None:
    assert template_of_jinja("{{ messages }}") is None


@pytest.mark.parametrize("name", HEADERS)
def test_a_mask_that_trains_headers_has_a_clean_variant(name: str) -> None:
    assert f"{name}_clean" in CLEAN


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_variant_trains_nothing_besides_replies_and_stops(name: str) -> None:
    template = find_template(name)
    assert (template.also_trained, template.trained_tokens) == ((), ())


@pytest.mark.parametrize("name", sorted(set(CLEAN) - {"mantis_idefics_3_clean"}))  # its file says why
def test_a_clean_variant_has_the_ids_of_what_was_published(name: str) -> None:
    tokenizer = toy_tokenizer(*OTHERS)
    example = talk(
        ("user", [*toy_images(2), "Which of these shows more cats?"]),
        ("assistant", "The second one does."),
        ("user", "Are there three apples?"),
        ("assistant", "There are three apples."),
    )
    clean = encode(example, find_template(name), tokenizer)
    published = encode(example, find_template(name.removesuffix("_clean")), tokenizer)
    assert clean.ids == published.ids
    assert sum(clean.trained) < sum(published.trained)


def test_a_template_of_ones_own_is_found_by_its_dotted_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from triptych.data.templates import chatml\n"
        "TEMPLATE = replace(chatml.TEMPLATE, name='mine', default_system='Be brief.')\n"
    )
    (tmp_path / "house_of").mkdir()
    (tmp_path / "mine.py").rename(tmp_path / "house_of" / "mine.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_template("house_of.mine").default_system == "Be brief."


def test_an_unknown_template_is_told_with_the_nearest_name() -> None:
    with pytest.raises(NotFoundError, match=r"no template is called 'chatlm'\. Did you mean 'chatml'\?"):
        find_template("chatlm")
