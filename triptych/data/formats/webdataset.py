"""WebDataset: tar shards; a sample is the files that share a key, ``000123.json`` with ``000123.0.jpg``.

Source: the conventions of the webdataset library and of what others publish in it. The path is one ``.tar``, a folder
of them, or a pattern ``train-{00000..00012}.tar``. A sample is one of

    a conversation   its ``json`` holds a row of messages, of LLaVA (``conversations``) or of Mantis (``conversation``,
                     or ``images``). What the row calls an image is a file of the sample: by its extension (``jpg``,
                     ``0.jpg``) or its name. Where it names none, the sample's pictures are its images, in the order of
                     their numbers (``2.jpg`` before ``10.jpg``), or of the tar where not all have one
    a caption        pictures, or a video, and ``txt``, or a ``caption`` in its ``json``: shown by the user, said by the
                     assistant; the json's other keys are facts

Options: ``#images=members``: the sample's pictures in order, whatever the row calls them; ``#missing_marks=front`` as
``llava`` has it. Nothing is unpacked but videos: an image is a place in its tar. Files that are neither pictures, json,
txt nor videos are not read; their extensions are the fact ``unread``. Capitals mean the same (``JPG``, ``JSON``). A
sample without an id in its row is called by its key. Writes messages: all that they can say but videos; a folder gets
shards of 1 GiB, a ``.tar`` everything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import cast

from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.data.disk.finder import refuse_more
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, refuse_foreign
from triptych.data.disk.json_rows import Row, each_key_once
from triptych.data.disk.marks import split_others
from triptych.data.disk.rows import bad, check_turns, convert_row, id_of, words
from triptych.data.disk.shards import Content, Sample, samples_of, shards_of, split_name, write_shards
from triptych.data.disk.writing import put_all
from triptych.data.format import Format, Reader, Refused, RowError, check_options
from triptych.data.formats import llava, mantis, messages
from triptych.data.media.kept import SUFFIXES, keep_bytes
from triptych.data.media.locate import ImageError, name_of, read_bytes
from triptych.data.media.unpack import suffix_of

OPTIONS = ("images", "missing_marks")
_VIDEOS = frozenset({".mp4", ".webm", ".mkv", ".avi", ".mov"})
_TEXTS = frozenset({"json", "txt"})
_TURNS = ("messages", "conversations", "conversation")
_NUMBERED = re.compile(r"(?P<front>.*?)(?P<number>[0-9]{1,18})\.[^.]*", re.DOTALL)
"""An extension with a number: ``0.jpg``, ``image0.jpg``."""
_NAMED = ("image", "images", "video", "videos")


def read(path: Path) -> Iterator[Example | Refused]:
    """Yield one Example or Refused per sample."""
    return _read(path, {})


def configure(options: Mapping[str, str]) -> Reader:
    """Return the reader for ``#images=members`` and ``#missing_marks=front``. Raises ConfigError."""
    check_options(options, OPTIONS)
    if options.get("images", "members") != "members":
        raise ConfigError(f"images is {options['images']!r}: write #images=members, or leave it out.")
    if (missing := options.get("missing_marks")) is not None:
        llava.check_missing_marks(missing)
    return lambda path: _read(path, options)


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples as messages: one shard where the path ends in ``.tar``, otherwise a folder of them."""
    return write_shards(put_all(examples, path, row_of=_files), path)


def _read(path: Path, options: Mapping[str, str]) -> Iterator[Example | Refused]:
    for shard in shards_of(path):
        for number, sample in enumerate(samples_of(shard)):
            members = _Members(sample)
            build = partial(_example, members, options)
            yield convert_row(Row(number, members.row()), build, path=shard)


@dataclass(frozen=True, slots=True)
class _Members:
    """The files of one sample, as a row's finder of media."""

    sample: Sample

    def row(self) -> Json | RowError:
        """Return what its json says, with an id; without json, only that."""
        key = PurePosixPath(self.sample.key).name
        text = self._text("json")
        if isinstance(text, RowError):
            return text
        try:
            row: Json = {} if text is None else json.loads(text, object_pairs_hook=each_key_once)
        except RowError as error:
            return error
        except (ValueError, RecursionError) as error:
            return bad(f"its json is no JSON ({error or 'nested too deeply'}). Mend it or leave the sample out.")
        return row if not isinstance(row, dict) or _has_id(row) else {**row, "id": key}

    def caption(self) -> str | None:
        """Return its txt without the line end; None where there is none. Raises RowError."""
        text = self._text("txt")
        if isinstance(text, RowError):
            raise text
        return None if text is None else text.rstrip("\r\n")

    def named(self, suffixes: frozenset[str]) -> list[Json]:
        """Return the extensions of its files that end so, in order: of their numbers, where nothing else differs.

        Tars are mostly written in the order of the names as texts, which puts ``10.png`` before ``2.png``.
        """
        found: list[Json] = [extension for extension, _ in self.sample.files if _suffix(extension) in suffixes]
        numbered = [match for extension in found if (match := _NUMBERED.fullmatch(str(extension)))]
        if len(numbered) < len(found) or len({match["front"] for match in numbered}) != 1:
            return found
        return [match.string for match in sorted(numbered, key=lambda match: int(match["number"]))]

    def unread(self) -> list[Json]:
        """Return the extensions of its files that nothing reads."""
        known = SUFFIXES | _VIDEOS
        return [each for each, _ in self.sample.files if _plain(each) not in _TEXTS and _suffix(each) not in known]

    def check(self) -> None:
        """Refuse files without an extension, and two of one. Raises RowError."""
        extensions = [_plain(extension) for extension, _ in self.sample.files]
        if "" in extensions:
            raise bad(f"the file {self.sample.key!r} has no extension, so nothing says what it is. Name it.")
        if len(set(extensions)) < len(extensions):
            raise bad("two of its files have one name. Leave one of them out.")

    def image(self, entry: object) -> ImageRef:
        """Return where a picture is. Raises RowError, ImageError."""
        name, locator = self._find(entry, "image")
        if _suffix(name) not in SUFFIXES:
            raise bad(f"{name[:100]!r} is called an image, but is none by its name.")
        return ImageRef(locator)

    def video(self, entry: object) -> VideoRef:
        """Return where a video is, unpacked to the cache folder. Raises RowError, ImageError."""
        name, locator = self._find(entry, "video")
        if _suffix(name) not in _VIDEOS:
            raise bad(f"{name[:100]!r} is called a video, but is none by its name.")
        return VideoRef(keep_bytes(read_bytes(locator)))

    def _find(self, entry: object, kind: str) -> tuple[str, str]:
        refuse_more(entry, f"the {kind}")
        name = words(cast("Json", entry.get("path") if isinstance(entry, dict) else entry), f"the name of the {kind}")
        for extension, locator in self.sample.files:
            if name == extension or self._is_called(name, extension):
                return extension, locator
        message = f"no file of the sample is called {name[:200]!r}. Add it or leave the sample out."
        raise ImageError(f"{kind} file missing", message)

    def _is_called(self, name: str, extension: str) -> bool:
        """Tell whether a name is that of the file, in its folder or from the tar's top."""
        key, own = split_name(name)
        return own == extension and key in {self.sample.key, PurePosixPath(self.sample.key).name}

    def _text(self, extension: str) -> str | RowError | None:
        for each, locator in self.sample.files:
            if _plain(each) == extension:
                try:
                    return read_bytes(locator).decode("utf-8-sig")
                except UnicodeDecodeError as error:
                    return bad(f"its {extension} is not UTF-8 ({error.reason}). Save it as UTF-8.")
                except ImageError as error:
                    return bad(f"its {extension} cannot be read ({error.reason}). Is the shard whole?")
        return None


def _example(members: _Members, options: Mapping[str, str], row: dict[str, Json], origin: str) -> Example:
    members.check()
    if unread := members.unread():
        row = {**row, **_fact(row, "unread", unread)}
    if not any(row.get(key) is not None for key in _TURNS):
        return _captioned(members, row, origin)
    if row.get("messages") is not None:
        return messages.example_of(_with_media(row, members, options, "images", "videos"), members, origin=origin)
    if row.get("conversation") is not None or row.get("images") is not None:
        return mantis.example_of(_with_media(row, members, options, "images", "video"), members.image, origin=origin)
    llava_row = _with_media(row, members, options, "image", "video")
    missing = options.get("missing_marks")
    return llava.example_of(llava_row, members.image, find_video=members.video, origin=origin, missing_marks=missing)


def _with_media(
    row: dict[str, Json], members: _Members, options: Mapping[str, str], images: str, videos: str
) -> dict[str, Json]:
    """Return the row with the sample's own media, where it names none or is not to be asked."""
    if "images" in options:
        row = {key: value for key, value in row.items() if key not in _NAMED}
    if any(row.get(key) is not None for key in _NAMED):
        return row
    shown = {images: members.named(SUFFIXES), videos: members.named(_VIDEOS)}
    return {**row, **{key: names for key, names in shown.items() if names}}


def _captioned(members: _Members, row: dict[str, Json], origin: str) -> Example:
    """Return pictures, or videos, and what is said of them. Raises RowError, ImageError."""
    refuse_foreign(row)
    caption, own = members.caption(), FOREIGN_KEYS | {"id"}
    if caption is None:
        caption = words(row.get("caption"), "the sample holds no conversation and no txt; its caption")
        own |= {"caption"}
    shown: list[Part] = [members.image(name) for name in members.named(SUFFIXES)]
    shown += [members.video(name) for name in members.named(_VIDEOS)]
    if not shown:
        raise bad("a caption without a picture. Add the picture or leave the sample out.")
    turns = (Turn("user", tuple(shown)), Turn("assistant", (Text(caption),) if caption else ()))
    check_turns(turns)
    skills, facts = split_others(row, own)
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts=facts)


def _fact(row: dict[str, Json], key: str, value: Json) -> dict[str, Json]:
    """Return a fact as a key of the row, wherever its layout has facts."""
    if row.get("messages") is None:
        return {key: value}
    facts = row.get("facts")
    return {"facts": {key: value, **facts} if isinstance(facts, dict) else {key: value} if facts is None else facts}


def _has_id(row: dict[str, Json]) -> bool:
    return row.get("id") is not None or row.get("sample_id") is not None


def _suffix(extension: str) -> str:
    return f".{extension.rpartition('.')[2].lower()}"


def _plain(extension: str) -> str:
    """Return the extension of a text as it is mostly written, JSON as json; any other as it is, a row may name it."""
    return extension.lower() if extension.lower() in _TEXTS else extension


def _files(example: Example) -> list[Content]:
    """Return the sample that holds an example. Raises RowError, ImageError."""
    row, images, videos = messages.row_of(example)
    if videos:
        raise bad(f"a shard of ours holds no video: {videos[0].source}. Cut it into frames first.")
    names: dict[str, str] = {}
    files: list[Content] = []
    entries: list[Json] = []
    for image in images:
        if image.source not in names:
            content = read_bytes(image.source)
            suffix = PurePosixPath(name_of(image.source)).suffix.lower()
            suffix = suffix if suffix in SUFFIXES else suffix_of(content)
            if not suffix:
                raise bad(f"nothing says what kind of picture {image.source} is. Save it as a known kind.")
            names[image.source] = f"{len(files)}{suffix}"
            files.append((names[image.source], content))
        entry: dict[str, Json] = {"path": names[image.source]}
        entry |= {} if image.box is None else {"box": list(image.box)}
        entry |= {} if image.resize is None else {"resize": list(image.resize)}
        entry |= {"video": image.video} if image.video else {}
        entries.append(entry if len(entry) > 1 else names[image.source])
    if entries:
        row["images"] = entries
    return [("json", _line(row)), *files]


def _line(row: dict[str, Json]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError:
        raise
    except (TypeError, ValueError) as error:
        raise bad(f"a fact of it is no JSON ({error}). Mend it or leave it out.") from None


FORMAT = Format(
    read=read,
    write=write,
    about="WebDataset tar shards: rows with their pictures, or captions, read in place",
    configure=configure,
    endings=(".tar",),
    folders=True,
    cannot=frozenset({"videos"}),
)
