"""What conversations would cost a model of parts, without its weights: a tokenizer, a template, a tower's shapes.

Not a model: nothing can be computed with it. The tower is laid out on the ``meta`` device, which has shapes and no
numbers; the language model is not opened at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from transformers import AutoConfig, AutoModel

from triptych.data.plan.costs import Fixed
from triptych.data.plan.rendering import Rendering
from triptych.data.template import find_template
from triptych.models import parts
from triptych.models.disk.locate import locate
from triptych.models.disk.tokenizer import open_tokenizer
from triptych.models.family import Model, PartsPlan
from triptych.models.join import probe_tower, teach_tokenizer


class _OpensFolder(Protocol):
    def __call__(self, folder: Path, *, weights: bool) -> Model: ...


def outline_by(assemble: Callable[[PartsPlan], Model], open_folder: _OpensFolder) -> Callable[..., Rendering]:
    """Return the ``Family.outline`` of a family whose ``open_folder`` can do without weights; raises as both do."""

    def outline(what: PartsPlan | Path) -> Rendering:
        return (assemble(what) if isinstance(what, PartsPlan) else open_folder(what, weights=False)).rendering

    return outline


def outline_parts(plan: PartsPlan) -> Rendering:
    """Return how conversations become the tokens of a tower, a projector and a language model.

    Raises:
        NotFoundError: a part is not there.
        ModelError: a part cannot be opened, or the tokenizer lacks the template's tokens.
    """
    template = find_template(plan.template)
    spoken = locate(plan.language)
    with parts.clear_errors(spoken, "a tokenizer"):
        tokenizer = open_tokenizer(spoken)
    return Rendering(template, tokenizer, teach_tokenizer(tokenizer, template), Fixed(_image_tokens(plan)))


def _image_tokens(plan: PartsPlan) -> int:
    seen = locate(plan.vision, image_tokens=plan.image_tokens)
    with parts.clear_errors(seen, "a vision tower"):
        config = AutoConfig.from_pretrained(seen)
        with torch.device("meta"):
            tower = AutoModel.from_config(getattr(config, "vision_config", config))
        processor = parts.see_whole_pictures(parts.load_image_processor(seen))
    return probe_tower(parts.Vision(tower, processor)).positions
