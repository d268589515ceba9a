"""``triptych serve``: a model, or two side by side, over HTTP as OpenAI's API has it, with a page."""

from __future__ import annotations

from typing import Annotated

import typer

from triptych.cli.groups.evaluation import ModelName
from triptych.core.errors import ConfigError


def run(
    model: ModelName,
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL_B] [KEY=VALUE...]", help="A second model; e.g. port=8080 rows=32; all: docs/serving.md."
        ),
    ] = None,
) -> None:
    """Serve chat completions with several images a message, scores and a page. API keys: TRIPTYCH_SERVE_KEYS."""
    from triptych.core.config import KEY
    from triptych.infer.opening import check_name
    from triptych.infer.settings import address_of
    from triptych.serve.api.settings import read_settings

    models, overrides = [model], list[str]()
    for each in more or ():
        key, equals, _ = each.partition("=")
        setting = bool(equals) and KEY.fullmatch(key) is not None and address_of(each) is None
        (overrides if setting else models).append(each)
    if len(models) > 2:
        raise ConfigError(f"{' '.join(models)}: at most two models are served together.")
    settings = read_settings(overrides)
    for each in models:
        check_name(each)

    from triptych.serve.server import run as serve  # which loads torch, after what may be wrong above

    serve(models, settings)
