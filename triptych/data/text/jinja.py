"""Template -> the same chat template in Jinja, which Hugging Face folders carry for everybody else's software.

Not used to render anything here. Message content is a string or a list of ``{"type": "text", "text": ...}`` and
``{"type": "image"}`` parts; an image becomes one ``<image>``. ``tests/data/test_template_properties.py`` holds both
equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from triptych.core.records import Role
from triptych.data.text.turns import NOISE_MARKER

if TYPE_CHECKING:  # template.py imports this file
    from triptych.data.template import Template

IMAGE_MARK = "<image>"
"""The image token as Hugging Face folders spell it."""

_IS_IMAGE = "part['type'] == 'image'"
_FIRST = "(message['content']|rejectattr('text', 'equalto', '')|map(attribute='type')|first)"
"""The type of the first part that says something."""


def write_jinja(template: Template) -> str:
    """Return the template in Jinja."""
    start = f"{{% set images = namespace(k={template.first_number - 1}) %}}"
    body = _caption(template) if template.first_reply_only else _default_system(template) + _messages(template)
    begin, end = _write_outer(template.begin), _write_outer(template.end)
    closing = "{% if add_generation_prompt %}" + _write(template.assistant.before)
    closing += ("{% else %}" + end if end else "") + "{% endif %}"
    return start + begin + body + closing


def _messages(template: Template) -> str:
    """Write the loop over the messages."""
    before = {role: template.around(role).before for role in get_args(Role)}
    after = {role: template.around(role).after for role in get_args(Role)}
    header = _each_role(before)
    if template.after_system is not None:
        since_system = "message['role'] == 'user' and loop.previtem is defined and loop.previtem['role'] == 'system'"
        header = _if(since_system, _write(template.after_system), header)
    leading = ""
    if template.images_lead:
        image = _if(f"images.lead and {_IS_IMAGE}", _image(template), "{% set images.lead = false %}")
        loop = "{% set images.lead = true %}" + _loop_parts(image)
        leading = _if("message['role'] == 'user' and message['content'] is not string", loop)
    return "".join(
        [
            "{% for message in messages %}" + leading + header + _lead(template),
            _content(template),
            _each_role({"assistant": template.tail + template.stop}) + _each_role(after),
            "{% endfor %}",
        ]
    )


def _lead(template: Template) -> str:
    """Write what stands between a header and what is said."""
    if not template.leads_words:
        return _each_role({"assistant": template.lead})
    begins = "message['content'] is not string and " + _FIRST + " == 'image'"
    return _if(begins, "", _write(template.lead))


def _content(template: Template) -> str:
    """Write what a message says: a string, or a loop over its parts."""
    words = "message['role'] == 'assistant'" if template.images_only else "true"
    cleaned = f"|replace({json.dumps(NOISE_MARKER)}, '')" if template.one_image_first else ""
    part = _if(_IS_IMAGE, _image(template), _if(words, _said(template, f"part['text']{cleaned}")))
    if template.images_lead:
        skipped = _if(f"message['role'] == 'user' and images.lead and {_IS_IMAGE}", "", "{% set images.lead = false %}")
        parts = "{% set images.lead = true %}" + _loop_parts(skipped + _if("not images.lead", part))
    else:
        parts = _loop_parts(part)
    if template.one_image_first:
        parts = _moved(template, parts, cleaned)
    string = _if(words, _said(template, f"message['content']{cleaned}"))
    return _if("message['content'] is string", string, parts)


def _said(template: Template, words: str) -> str:
    """Write what is said: trimmed, where the template wants it, but for the system turn."""
    if not template.trimmed:
        return f"{{{{ {words} }}}}"
    return f"{{{{ {words} if message['role'] == 'system' else {words}|trim }}}}"


def _moved(template: Template, parts: str, cleaned: str) -> str:
    """Write a turn's only image in front of its words, where it does not stand there; else ``parts``."""
    text = _if(_IS_IMAGE, "", "{{ part['text'] }}")
    said = f"{{% set said %}}{_loop_parts(text)}{{% endset %}}"
    words = said + _if("said|trim", _write("\n") + f"{{{{ said|trim{cleaned} }}}}")
    image = _loop_parts(_if(_IS_IMAGE, _image(template)))
    only = "message['content']|selectattr('type', 'equalto', 'image')|list|length == 1"
    return _if(f"{only} and {_FIRST} != 'image'", image + words, parts)


def _image(template: Template) -> str:
    """Write one image and what stands around it, inside a loop over parts."""
    before, after = _numbered(template.image_before), _numbered(template.image_after)
    if template.image_between is not None:
        follows, precedes = (
            f"loop.{item} is defined and loop.{item}['type'] == 'image'" for item in ("previtem", "nextitem")
        )
        before = _if(follows, _numbered(template.image_between), before)
        after = _if(f"not ({precedes})", after)
    return "{% set images.k = images.k + 1 %}" + before + IMAGE_MARK + after


def _caption(template: Template) -> str:
    """Write the images that the first reply has no places for, then that reply unless it is asked for."""
    before, after = _numbered(template.image_before), _numbered(template.image_after)
    some = f"images.k >= {template.first_number}"
    count, last, lead = "{% set images.k = images.k + 1 %}", "", _if(some, _write(template.lead))
    image = count + before + IMAGE_MARK + after
    front = image
    if template.image_between is not None:
        before = _if(f"images.k == {template.first_number}", before, _numbered(template.image_between))
        front, last = count + before + IMAGE_MARK, _if(some, after)
    mine = "message['role'] == 'assistant' and not images.said"
    seen = _if("message['content'] is not string", _loop_parts(_if(_IS_IMAGE, "{% set images.n = images.n + 1 %}")))
    counted = _if(mine, "{% set images.said = true %}", seen)
    words = _loop_parts(_if(_IS_IMAGE, image, "{{ part['text'] }}"))
    words = _if("message['content'] is string", "{{ message['content'] }}", words)
    reply = _if(mine, lead + words + _write(template.tail + template.stop) + "{% set images.said = true %}")
    start = "{% set images.said = add_generation_prompt %}"
    return "".join(
        [
            start + "{% set images.n = 0 %}",
            f"{{% for message in messages %}}{counted}{{% endfor %}}",
            f"{{% for place in range(images.n) %}}{front}{{% endfor %}}{last}",
            start + f"{{% for message in messages %}}{reply}{{% endfor %}}",
        ]
    )


def _default_system(template: Template) -> str:
    if not template.default_system or template.images_only:
        return ""
    said = _write(template.system.before + template.default_system + template.system.after)
    if template.after_system is None:
        return _if("not messages or messages[0]['role'] != 'system'", said)
    # the first header of the user's then is another one: say the line as a message
    line = json.dumps(template.default_system, ensure_ascii=False)
    return (
        "{% if not messages or messages[0]['role'] != 'system' %}"
        f"{{% set messages = [{{'role': 'system', 'content': {line}}}] + messages %}}{{% endif %}}"
    )


def _loop_parts(part: str) -> str:
    # Empty words say nothing, and no image stands apart for them.
    return f"{{% for part in message['content'] if {_IS_IMAGE} or part['text'] %}}{part}{{% endfor %}}"


def _if(condition: str, then: str, otherwise: str = "") -> str:
    if not (then or otherwise):
        return ""
    return f"{{% if {condition} %}}{then}" + (f"{{% else %}}{otherwise}" if otherwise else "") + "{% endif %}"


def _write(text: str) -> str:
    """Write a string as JSON, which Jinja reads as its own."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""


def _write_outer(text: str) -> str:
    """Write a string that may name the tokenizer's own beginning and end."""
    spans = re.split(r"(\{[be]os\})", text)
    named = {"{bos}": "{{ bos_token or '' }}", "{eos}": "{{ eos_token or '' }}"}
    return "".join(named.get(span) or _write(span) for span in spans)


def _numbered(text: str) -> str:
    return "{{ images.k }}".join(_write(span) for span in text.split("{k}"))


def _each_role(texts: Mapping[str, str]) -> str:
    only = "{{% if message['role'] == '{}' %}}{}{{% endif %}}"
    return "".join(only.format(role, _write(text)) for role, text in texts.items() if text)
