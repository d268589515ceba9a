"""What an export is asked for: ``triptych export MODEL DIR key=value``.

Not the doing. A complete tree with defaults, as every setting of the house.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from triptych.core.config import Settings, parse_key_values

Layout = Literal["transformers", "vllm", "gguf"]
Dtype = Literal["float32", "bfloat16", "float16"]


class ExportPlan(Settings):
    """What is written, and where it goes besides."""

    layout: Layout = "transformers"
    """``transformers``: what plain transformers opens. ``vllm``: the same, checked for what vLLM wants, with its launch
    line. ``gguf``: what llama.cpp's scripts convert, with their commands."""
    adapter: bool = False
    """The adapter of a run alone, as peft has it, instead of a merged model."""
    dtype: Dtype | None = None
    """Type of the weights that are written; null: as they were saved."""
    base: str | None = None
    """The model that an adapter was learnt on, where MODEL is an adapter's folder; null: the one it names."""
    run: str | None = None
    """The run's folder that the card tells of; null: MODEL, or the folder around it, where that is a run."""
    name: str | None = None
    """Title of the card; null: the run's name, or the folder's."""
    licence: str | None = None
    """Licence of what is written, as the hub spells it, e.g. ``apache-2.0``; null: the card says there is none."""
    images: Annotated[int, Field(ge=1)] = 8
    """Most images of a request, in vLLM's launch line: for ``layout=vllm`` alone."""
    push: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """``OWNER/NAME`` on the hub, where the folder is put afterwards."""
    private: bool = True
    """Whether a repository that is made there is one that only you see."""

    @model_validator(mode="after")
    def _fits_together(self) -> ExportPlan:
        if self.adapter and self.layout != "transformers":
            raise ValueError("adapter: true is for peft: leave layout out, or export the merged model")
        if self.adapter and self.dtype is not None:
            raise ValueError("dtype: an adapter stays float32, as it was learnt: leave it out")
        if "images" in self.model_fields_set and self.layout != "vllm":
            raise ValueError("images: it is for vLLM's launch line: add layout=vllm, or leave it out")
        return self


def parse_plan(settings: Sequence[str]) -> ExportPlan:
    """Return the plan that ``KEY=VALUE`` words say; values are YAML.

    Raises:
        ConfigError: no such key, or no such value; one line that names it.
    """
    return parse_key_values(settings, model=ExportPlan, example="layout=vllm")
