"""ego4d: what somebody does who wears a camera, line by line, and what is in sight meanwhile.

Source: Ego4D narrations (Grauman et al. 2022, arXiv:2110.07058) in two layouts. MIMIC-IT's E4D: ``{"VIDEO": {"clips":
[{"narrations": [{"time": 3.1, "text": "...", "object_description": ["..."]}]}]}}``, one Annotation a clip. And the
published ``narration.json``: ``{"videos": {"UID": {"narration_pass_1": {"narrations": [{"timestamp_sec": 3.1,
"narration_text": "#C C cuts"}]}}}}``, one Annotation for each ``seconds`` of it. Unlike in the published code, every
clip has all of its times: there, clips behind the first lost those that an earlier clip had had. Frames are those of
the folder of the clip's own id, ``VIDEO_clip000003``, where there is one; else those of the video between the times
of its lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path

from triptych.core.records import Json
from triptych.data.disk.json_members import Member, members_of
from triptych.data.disk.rows import bad, keyed, listed, words
from triptych.data.format import Refused, RowError
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.clips import CLIP_OPTIONS, Clips, clips_of
from triptych.generate.entries import build_entry, check_options, number_of, number_option, sentences_in
from triptych.generate.item import Annotation, Event
from triptych.generate.json_lists import value_at

OPTIONS = {**CLIP_OPTIONS, "seconds": "length of a part of narration.json's videos; otherwise 60"}
_MARKS = re.compile(r"#(unsure|summary|C|O)\b\s*", re.IGNORECASE)
"""What narrators mark a line with: who acts, and doubts."""


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Yield one Annotation or Refused a clip."""
    check_options(options, OPTIONS, layout="ego4d")
    clips, seconds = clips_of(path, options), number_option(options, "seconds", default=60)
    published = any(member.key == "videos" for member in members_of(path))
    for member in members_of(path, inside="videos" if published else None):
        made = build_entry(partial(_whole, path, member), path=path, row=member.key)
        if isinstance(made, Refused):
            yield made
            continue
        for at, part in enumerate(_parts(made, seconds)):
            if isinstance(part, RowError):
                where = f"{path}: {member.key!r}: clip {at}"
                yield Refused(where, part.reason, f"{where}: {part}")
            else:
                number, events = part
                called = f"{member.key}_clip{number:06d}"
                yield build_entry(partial(_clip, called, member.key, events, clips), path=path, row=called)


def _whole(path: Path, member: Member, origin: str) -> Annotation:
    """Return the video's entry as it stands, in an Annotation's facts."""
    return Annotation(member.key, (), origin=origin, facts=keyed(value_at(path, member), "the entry"))


def _parts(video: Annotation, seconds: int) -> Iterator[tuple[int, tuple[Event, ...]] | RowError]:
    """Yield the number and the lines of each clip; of a published video, of each part in which there is a line."""
    clips = video.facts.get("clips")
    if isinstance(clips, list):
        for number, clip in enumerate(clips):
            try:
                events = tuple(map(_line, listed(keyed(clip, "a clip").get("narrations"), "narrations")))
                yield (number, events) if events else bad("nothing is narrated. Leave the clip out.")
            except RowError as error:
                yield error
        return
    try:
        lines = sorted(_published(video.facts), key=lambda event: event.start_s or 0.0)
    except RowError as error:
        yield error
        return
    if not lines:
        yield bad("nothing is narrated. Leave the video out.")
    for part, narrated in groupby(lines, key=lambda event: int((event.start_s or 0.0) // seconds)):
        yield part, tuple(narrated)


def _published(entry: Mapping[str, Json]) -> Iterator[Event]:
    passes = [entry[key] for key in ("narration_pass_1", "narration_pass_2") if key in entry]
    if not passes:
        raise bad("it has neither 'clips' nor 'narration_pass_1'. Is it the right file?")
    for said in listed(keyed(passes[0], "narration_pass").get("narrations"), "narrations"):
        line = keyed(said, "a narration")
        yield Event(_plain(line.get("narration_text")), _time(line.get("timestamp_sec")))


def _line(said: Json) -> Event:
    line = keyed(said, "a narration")
    seen = line.get("object_description")
    things = sentences_in([] if seen is None else seen, "object_description")
    return Event(_plain(line.get("text")), _time(line.get("time")), None, things)


def _plain(said: Json) -> str:
    return " ".join(_MARKS.sub("", words(said, "a narration's text")).split())


def _time(said: Json) -> float:
    try:
        time_s = number_of(said, "time")
    except RowError as error:
        raise RowError("bad time", f"the time of a narration is no number of seconds: {error}") from None
    if time_s < 0:
        raise RowError("bad time", f"the time {said!r} of a narration is before the video.")
    return time_s


def _clip(called: str, video: str, events: tuple[Event, ...], clips: Clips, origin: str) -> Annotation:
    times = [event.start_s for event in events if event.start_s is not None]
    own = clips.frames is not None and (clips.frames / called).is_dir()
    views = clips.views(called) if own else clips.views_between(video, min(times), stop_s=max(times))
    return Annotation(called, views, events=events, origin=origin, facts={"video": video})


ANNOTATION = AnnotationLayout(read=read, about="Ego4D: narration of what the wearer of a camera does", options=OPTIONS)
