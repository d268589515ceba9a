"""folder: images of which nothing is known but where they lie, for teachers that see.

The path is a folder. One Annotation a picture in it or below it; with ``by=folder`` one for each folder that holds
pictures, which then are its views, in the order of their names, in which 10 comes after 9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import ImageRef
from triptych.data.format import Refused
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.entries import check_options, choice_option, natural_order, pictures_in
from triptych.generate.item import Annotation, View

OPTIONS = {"by": "image or folder: what becomes one annotation; otherwise image"}


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Yield one Annotation a picture, or a folder."""
    check_options(options, OPTIONS, layout="folder")
    by = choice_option(options, "by", choices=("image", "folder"))
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Give one with pictures in it.")
    below = sorted((each for each in path.rglob("*") if each.is_dir()), key=lambda each: natural_order(str(each)))
    for folder in (path, *below):
        if not (files := pictures_in(folder)):
            continue
        name = folder.relative_to(path).as_posix()
        views = tuple(View(ImageRef(str(file)), name=file.stem) for file in files)
        if by == "folder":
            yield Annotation(path.name if name == "." else name, views, origin=str(folder))
            continue
        for file, view in zip(files, views, strict=True):
            yield Annotation(file.name if name == "." else f"{name}/{file.name}", (view,), origin=str(file))


ANNOTATION = AnnotationLayout(read=read, about="images of which nothing is known", options=OPTIONS)
