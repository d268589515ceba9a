"""Where the videos of an annotation file are: a file each, or a folder of frames each. Named, not opened.

Not a layout. What is asked for by options is the same in all layouts that tell of videos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import ConfigError
from triptych.data.format import RowError
from triptych.generate.entries import folder_option, frames_at, number_option, video_at
from triptych.generate.item import View

CLIP_OPTIONS = {
    "videos": "folder that the videos are in; otherwise that of the file",
    "ending": "of the videos' names; otherwise mp4",
    "frames": "folder with a folder of pictures for each video: each picture is a view of its own",
    "most": "frames of a video at most, taken evenly; otherwise all",
    "fps": "frames a second in those folders; otherwise 1",
}


@dataclass(frozen=True, slots=True)
class Clips:
    """Where the videos are."""

    videos: Path
    ending: str
    frames: Path | None
    """A folder of frames for each video is in it; None: videos are files."""
    most: int
    """Frames of a video at most; 0: all."""
    per_s: float

    def views(self, name: str) -> tuple[View, ...]:
        """Return a video as one view, or its frames as one each. Raises RowError."""
        if self.frames is None:
            return (View(video_at(self.videos, f"{name}.{self.ending}"), name=name),)
        return frames_at(self.frames, name, most=self.most, per_s=self.per_s)

    def views_between(self, name: str, start_s: float, *, stop_s: float) -> tuple[View, ...]:
        """Return the frames of a part of a video, the last included; without frames, all of the video.

        Raises:
            RowError: ``no frames``: there are none, or they end before the part begins.
        """
        if self.frames is None:
            return self.views(name)
        shown = frames_at(self.frames, name, most=0, per_s=self.per_s)
        inside = [view for view in shown if view.time_s is not None and int(start_s) <= view.time_s <= stop_s]
        if not inside and (shown[-1].time_s or 0.0) + 1 / self.per_s <= start_s:
            last_s = f"the frames end at {shown[-1].time_s:g} s, with {self.per_s:g} a second"
            raise RowError("no frames", f"{name}: none is of {start_s:g} to {stop_s:g} s: {last_s}. Is fps= right?")
        # Between two frames that stand far apart: the one before.
        chosen = inside or [view for view in shown if (view.time_s or 0.0) <= start_s][-1:]
        count = min(self.most or len(chosen), len(chosen))
        return tuple(chosen[at * (len(chosen) - 1) // max(1, count - 1)] for at in range(count))


def clips_of(path: Path, options: Mapping[str, str]) -> Clips:
    """Return what the options of an annotation file say of its videos. Raises ConfigError."""
    frames = Path(options["frames"]).expanduser() if "frames" in options else None
    if frames is not None and not frames.is_dir():
        raise ConfigError(f"option frames is {options['frames']!r}: no such folder. Give an existing one.")
    try:
        per_s = float(options.get("fps", "1"))
    except ValueError:
        per_s = 0.0
    if not 0 < per_s < 1000:
        raise ConfigError(f"option fps is a number of frames a second, found {options['fps']!r}.")
    ending = options.get("ending", "mp4").lstrip(".")
    most = number_option(options, "most", default=0) if "most" in options else 0
    return Clips(folder_option(options, "videos", path=path), ending, frames, most, per_s)
