"""tvc: captions of clips of television shows.

Source: TVC (Lei et al. 2020, arXiv:2001.09099). The path is JSON Lines: ``{"vid_name": "friends_s01e03_seg02_clip_12",
"clip_id": 7, "ts": [4.2, 9.8], "descs": [{"desc": "..."}]}``. The id is the video's name, with the clip's number behind
it where there is one: a video has several clips, which the published pipeline gave one id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from triptych.core.records import Json
from triptych.data.disk.json_rows import read_rows
from triptych.data.disk.rows import bad, keyed, listed, words
from triptych.data.format import Refused, RowError
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.clips import CLIP_OPTIONS, Clips, clips_of
from triptych.generate.entries import build_entry, check_options, numbers_in
from triptych.generate.item import Annotation, Event

OPTIONS = CLIP_OPTIONS


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Yield one Annotation or Refused a clip."""
    check_options(options, OPTIONS, layout="tvc")
    clips = clips_of(path, options)
    for row in read_rows(path):
        yield build_entry(partial(_annotation, row.value, clips), path=path, row=row.number)


def _annotation(said: Json | RowError, clips: Clips, origin: str) -> Annotation:
    if isinstance(said, RowError):
        raise said
    entry = keyed(said, "the entry")
    video = words(entry.get("vid_name"), "vid_name")
    texts = [words(keyed(each, "a description").get("desc"), "desc") for each in listed(entry.get("descs"), "descs")]
    if not texts:
        raise bad("descs is empty. Describe the clip or leave it out.")
    start, stop = _times(entry.get("ts"))
    views = clips.views(video) if start is None or stop is None else clips.views_between(video, start, stop_s=stop)
    clip = entry.get("clip_id")
    called = video if clip is None else f"{video}_{clip}"
    events = tuple(Event(" ".join(text.split()), start, stop) for text in texts)
    return Annotation(called, views, events=events, origin=origin, facts={"video": video})


def _times(said: Json) -> tuple[float | None, float | None]:
    if said is None:
        return None, None
    match numbers_in(said, "ts"):
        case [start, stop] if 0 <= start <= stop:
            return start, stop
    raise RowError("bad time", f"ts is {said!r}, not a start and a later end in seconds.")


ANNOTATION = AnnotationLayout(read=read, about="TVC: captions of clips of television shows", options=OPTIONS)
