"""The jinja templates of this folder, opened with the filters that all pages use. Every word from data is escaped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from triptych.evaluate.certainty.formatting import format_p, percent, points


def open_template(name: str, **filters: Callable[..., str]) -> Template:
    """Return a template of this folder; ``filters`` are added to the shared ones, or replace them."""
    loader = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"percent": percent, "points": points, "p": format_p, "plain": _plain, **filters}
    return pages.get_template(name)


def _plain(name: str) -> str:
    return name.replace("_", " ")
