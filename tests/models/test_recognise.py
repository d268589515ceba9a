"""A folder's template is told by what it says, by its exact hub id, or by what its chat template writes."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from tests.models.published import release
from triptych.core import plugins
from triptych.core.errors import ModelError
from triptych.data.plan.costs import AROUND
from triptych.data.template import find_template, template_names
from triptych.models.disk.check import check_model
from triptych.models.disk.folder import chat_template_of
from triptych.models.disk.recognise import published, recognise, written
from triptych.models.families.idefics2 import tiny
from triptych.models.family import Family, open_model

MARKS = {"bos_token": "<s>", "eos_token": "</s>"}

CHATML_ELSEWHERE = """{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' }}
    {%- if message.content is string %}{{ message.content }}{% else %}
        {%- for part in message.content %}
            {%- if part.type == 'image' %}{{ '<image>' }}{% elif 'text' in part %}{{ part.text }}{% endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
"""ChatML as somebody else writes it."""
IMAGES_FIRST = """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{% for content in
 message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}{% for content in
 message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] }}{% endfor %}{{'<|im_end|>\n'}}
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
"""All images of a turn before its words: no template of ours."""
NO_SYSTEM = "{{ raise_exception('no system turns') }}"


def test_no_two_templates_write_the_same_probes() -> None:
    texts = {name: written(find_template(name).jinja, MARKS) for name in template_names()}
    assert all(text is not None for text in texts.values())
    for one, other in combinations(texts, 2):
        same = find_template(one).jinja == find_template(other).jinja
        assert (texts[one] == texts[other]) == same, (one, other)


def test_a_chat_template_that_writes_what_one_of_ours_writes_is_that_one(tmp_path: Path) -> None:
    release(tmp_path, chat_template=CHATML_ELSEWHERE)
    assert open_model(tmp_path / "released").template.name == "chatml"
    assert recognise(tmp_path / "released", CHATML_ELSEWHERE).how == "its chat template writes what this one writes"


@pytest.mark.parametrize("jinja", [IMAGES_FIRST, NO_SYSTEM, "{{ messages[0].content + 'words' }}", "{% broken"])
def test_another_chat_template_is_not_taken_for_ours(jinja: str, tmp_path: Path) -> None:
    release(tmp_path)
    with pytest.raises(ModelError, match="its chat template is none that is known") as refusal:
        recognise(tmp_path / "released", jinja)
    assert "`model.template: NAME` in a recipe" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_image_token_of_another_spelling_is_no_difference(tmp_path: Path) -> None:
    jinja = chat_template_of(find_template("mantis_qwen2_vl"), "<|image_pad|>")
    assert "<image>" not in jinja
    tokens = [{"id": 9, "content": "<|image_pad|>", "special": True}]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": tokens}))
    (tmp_path / "config.json").write_text('{"image_token_id": 9}')
    # Others write the same with their own words for it.
    assert recognise(tmp_path, jinja + "{# theirs #}").template.name == "mantis_qwen2_vl_clean"


def test_what_the_processor_alone_carries_is_read(tmp_path: Path) -> None:
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": CHATML_ELSEWHERE}))
    assert recognise(tmp_path, None).template.name == "chatml"


def test_of_several_chat_templates_the_default_is_read(tmp_path: Path) -> None:
    several = {"tool_use": "{{ 'another' }}", "default": CHATML_ELSEWHERE}
    listed = [{"name": name, "template": jinja} for name, jinja in several.items()]
    assert recognise(tmp_path, several).template.name == "chatml"
    for name, said in (("chat_template.json", several), ("processor_config.json", listed)):
        (tmp_path / name).write_text(json.dumps({"chat_template": said}))
        assert recognise(tmp_path, None).template.name == "chatml"
        (tmp_path / name).unlink()
    with pytest.raises(ModelError, match="it has no chat template"):
        recognise(tmp_path, {"tool_use": CHATML_ELSEWHERE})


@pytest.mark.parametrize("way", ["listed", "beside", "with the processor"])
def test_a_folder_with_several_chat_templates_opens(way: str, tmp_path: Path) -> None:
    release(tmp_path)
    folder = tmp_path / "released"
    jinja = (folder / "chat_template.jinja").read_text()
    if way == "beside":
        (folder / "additional_chat_templates").mkdir()
        (folder / "additional_chat_templates" / "tool_use.jinja").write_text("{{ 'another' }}")
    else:
        (folder / "chat_template.jinja").unlink()
        name = "tokenizer_config.json" if way == "listed" else "processor_config.json"
        said = json.loads((folder / name).read_text())
        said["chat_template"] = [{"name": "tool_use", "template": "{{ 1 }}"}, {"name": "default", "template": jinja}]
        (folder / name).write_text(json.dumps(said))
    assert open_model(folder).template.name == "chatml"


def test_a_published_checkpoint_is_known_by_its_exact_hub_id_and_by_no_part_of_a_path(tmp_path: Path) -> None:
    for at, known in (
        ("models--TIGER-Lab--Mantis-8B-siglip-llama3/snapshots/0a1b", True),
        ("models--TIGER-Lab--Mantis-8B-siglip-llama3-mine/snapshots/0a1b", False),
        ("TIGER-Lab/Mantis-8B-siglip-llama3", False),
        ("models--TIGER-Lab--Mantis-8B-siglip-llama3", False),
    ):
        folder = tmp_path / at
        folder.mkdir(parents=True, exist_ok=True)
        if known:
            found = recognise(folder, "{{ 'its base model says otherwise' }}")
            assert found.template.name == "mantis_llama_3_clean"
            assert "TIGER-Lab/Mantis-8B-siglip-llama3" in found.how
        else:
            with pytest.raises(ModelError, match="it has no chat template"):
                recognise(folder, None)


def test_every_published_fact_names_a_template_and_a_family_that_there_are() -> None:
    facts = published()
    assert len(facts) > 20
    assert {fact.template for fact in facts.values()} <= set(template_names())
    families = {name: plugins.find("family", name, expected=Family) for name in plugins.names("family")}
    assert {fact.family for fact in facts.values()} <= set(families)
    assert all(fact.source for fact in facts.values())


def test_what_a_folder_says_comes_before_all(tmp_path: Path) -> None:
    release(tmp_path)
    (tmp_path / "released" / "triptych.json").write_text('{"template": "vicuna_v1"}')
    assert recognise(tmp_path / "released", CHATML_ELSEWHERE).template.name == "vicuna_v1"
    (tmp_path / "released" / "triptych.json").write_text('{"template": "no_such"}')
    with pytest.raises(ModelError, match="template 'no_such' is not known"):
        recognise(tmp_path / "released", CHATML_ELSEWHERE)
    template = {check.name: check for check in check_model(str(tmp_path / "released"))}["template"]
    assert template.verdict == "wrong"


@pytest.mark.parametrize("template", ["mantis_idefics_2", "mantis_idefics_2_clean"])
def test_marks_that_a_processor_writes_are_not_missed_in_a_chat_template(template: str, tmp_path: Path) -> None:
    tiny(0, template=template).save(tmp_path)
    (tmp_path / "triptych.json").unlink()
    jinja = (tmp_path / "chat_template.jinja").read_text()
    assert AROUND not in jinja
    assert recognise(tmp_path, jinja).template.name == "mantis_idefics_2_clean"
