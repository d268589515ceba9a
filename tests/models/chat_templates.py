"""Chat templates of published checkpoints, as their folders hold them; Qwen3-VL's without its branches for tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

_ROLES = (
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
IDEFICS2 = "{% for message in messages %}{{message['role'].capitalize()}}" + _ROLES
IDEFICS3 = "<|begin_of_text|>{% for message in messages %}{{message['role'].capitalize()}}" + _ROLES
SMOLVLM = "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}" + _ROLES
SMOLVLM2 = SMOLVLM.replace(
    "{{ '<image>' }}{% endif %}",
    "{{ '<image>' }}{% elif line['type'] == 'video' %}{{ '<video>' }}{% endif %}",
)
INTERNVL = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<IMG_CONTEXT>\n' }}{% elif content['type'] == 'video' %}{{ '<video>\n' }}{% elif content['type'] == 'text' %}"
    "{{ content['text'] }}{% endif %}{% endfor %}{% endif %}{{'<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)
QWEN2_VL = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}"
    "<|im_end|>\n{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3_VL = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].content is string %}
        {{- messages[0].content }}
    {%- else %}
        {%- for content in messages[0].content %}
            {%- if 'text' in content %}
                {{- content.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- set image_count = namespace(value=0) %}
{%- for message in messages %}
    {%- if message.role == "user" %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if message.content is string %}
            {{- message.content }}
        {%- else %}
            {%- for content in message.content %}
                {%- if content.type == 'image' or 'image' in content or 'image_url' in content %}
                    {%- set image_count.value = image_count.value + 1 %}
                    {%- if add_vision_id %}Picture {{ image_count.value }}: {% endif -%}
                    <|vision_start|><|image_pad|><|vision_end|>
                {%- elif 'text' in content %}
                    {{- content.text }}
                {%- endif %}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if message.content is string %}
            {{- message.content }}
        {%- else %}
            {%- for content_item in message.content %}
                {%- if 'text' in content_item %}
                    {{- content_item.text }}
                {%- endif %}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

GEMMA3 = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\n'}}
{%- endif -%}
"""


class Published(NamedTuple):
    """What a published folder says of its conversations."""

    template: str
    """The one of ours that writes the same."""
    jinja: str
    model_type: str
    begin: str
    """What its tokenizer calls its beginning; empty: it has none."""
    begins_itself: bool = False
    """Whether the tokenizer puts that before a text."""
    image: str = "<image>"

    def write(self, folder: Path) -> Path:
        """Write the files of a folder that say it, and no model."""
        tokenizer = {"bos_token": self.begin or None, "eos_token": "</s>", "add_bos_token": self.begins_itself}
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
        (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": [{"id": 9, "content": self.image}]}))
        (folder / "config.json").write_text(json.dumps({"model_type": self.model_type, "image_token_id": 9}))
        return folder


_SMOLVLM = Published("idefics3", SMOLVLM, "idefics3", "<|im_start|>")
_SMOLVLM2 = Published("idefics3", SMOLVLM2, "smolvlm", "<|im_start|>")
_QWEN2_VL = Published("mantis_qwen2_vl_clean", QWEN2_VL, "qwen2_vl", "", image="<|image_pad|>")
_GEMMA3 = Published("gemma3", GEMMA3, "gemma3", "<bos>", begins_itself=True, image="<image_soft_token>")
_QWEN3_VL = Published("qwen3_vl", QWEN3_VL, "qwen3_vl", "", image="<|image_pad|>")

PUBLISHED = {
    "HuggingFaceM4/idefics2-8b": Published("idefics2", IDEFICS2, "idefics2", "<s>", begins_itself=True),
    "HuggingFaceM4/Idefics3-8B-Llama3": Published("idefics3", IDEFICS3, "idefics3", "<|begin_of_text|>", True),
    "HuggingFaceTB/SmolVLM-256M-Instruct": _SMOLVLM,
    "HuggingFaceTB/SmolVLM-500M-Instruct": _SMOLVLM,
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": _SMOLVLM2,
    "google/gemma-3-4b-it": _GEMMA3,
    "google/gemma-3-12b-it": _GEMMA3,
    "google/gemma-3-27b-it": _GEMMA3,
    "Qwen/Qwen2-VL-2B-Instruct": _QWEN2_VL,
    "Qwen/Qwen2-VL-7B-Instruct": _QWEN2_VL,
    "Qwen/Qwen2.5-VL-3B-Instruct": _QWEN2_VL,
    "Qwen/Qwen2.5-VL-7B-Instruct": _QWEN2_VL,
    "Qwen/Qwen3-VL-2B-Instruct": _QWEN3_VL,
    "Qwen/Qwen3-VL-4B-Instruct": _QWEN3_VL,
    "Qwen/Qwen3-VL-8B-Instruct": _QWEN3_VL,
}


def marked(text: str, published: Published) -> str:
    """Return what a processor makes of a text before its image tokens are counted out, each image as ``<image>``."""
    text = text.replace(published.image, "<image>")
    if published.model_type == "gemma3":
        text = text.replace("<start_of_image>", "\n\n<start_of_image><image><end_of_image>\n\n")
    if published.model_type == "idefics2":
        around = "<fake_token_around_image>"
        text = text.replace("<image>", f"{around}<image>{around}").replace(around * 2, around)
    return published.begin * published.begins_itself * (not text.startswith(published.begin)) + text
