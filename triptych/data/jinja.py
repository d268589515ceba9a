"""Template -> the same chat template in Jinja, which Hugging Face folders carry for everybody else's software.

Not used to render anything here. Message content is a string or a list of ``{"type": "text", "text": ...}`` and
``{"type": "image"}`` parts; an image becomes one ``<image>``. ``tests/data/test_template_properties.py`` holds both
equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from triptych.core.records import Role

if TYPE_CHECKING:  # template.py imports this file
    from triptych.data.template import Template

IMAGE_MARK = "<image>"
"""The image token as Hugging Face folders spell it."""


def write_jinja(template: Template) -> str:
    """Return the template in Jinja. Strings are written as JSON strings, which Jinja reads as its own."""

    def write(text: str) -> str:
        return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""

    def numbered(text: str) -> str:
        return "{{ images.k }}".join(write(span) for span in text.split("{k}"))

    def each_role(texts: Mapping[str, str]) -> str:
        only = "{{% if message['role'] == '{}' %}}{}{{% endif %}}"
        return "".join(only.format(role, write(text)) for role, text in texts.items() if text)

    words = "message['role'] == 'assistant'" if template.images_only else "true"
    before = {role: template.around(role).before for role in get_args(Role)}
    after = {role: template.around(role).after for role in get_args(Role)}
    default = ""
    if template.default_system and not template.images_only:
        said = write(template.system.before + template.default_system + template.system.after)
        default = f"{{% if not messages or messages[0]['role'] != 'system' %}}{said}{{% endif %}}"
    return "".join(
        [
            "{% set images = namespace(k=0) %}" + write(template.begin) + default,
            "{% for message in messages %}" + each_role(before) + each_role({"assistant": template.lead}),
            f"{{% if message['content'] is string %}}{{% if {words} %}}{{{{ message['content'] }}}}{{% endif %}}",
            "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}",
            "{% set images.k = images.k + 1 %}" + numbered(template.image_before),
            IMAGE_MARK + numbered(template.image_after),
            f"{{% elif {words} %}}{{{{ part['text'] }}}}{{% endif %}}{{% endfor %}}{{% endif %}}",
            each_role({"assistant": template.stop}) + each_role(after),
            "{% endfor %}{% if add_generation_prompt %}" + write(template.assistant.before) + "{% endif %}",
        ]
    )
