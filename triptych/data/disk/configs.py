"""Others' mixture files as our sources: Mantis' configuration, those of LLaVA, MIMIC-IT, InternVL and LLaMA-Factory.

Not training settings: those are a recipe's. ``config_files`` has their keys. What a key asks for and a source cannot
say becomes a note; a key without a note is said, or has no effect here (``shuffle`` of a whole set: the order of
training is always shuffled; ``revision``: both are read). Unlike in MIMIC-IT's trainer, sources are mixed row by row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from triptych.core.config import Settings, load_config
from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Json
from triptych.core.yaml_text import write_yaml
from triptych.data.disk.config_files import (
    PLACES,
    InternvlConfig,
    InternvlEntry,
    LlamaFactoryConfig,
    LlavaConfig,
    LlavaEntry,
    MantisConfig,
    MantisEntry,
    MimicitConfig,
    MimicitEntry,
)
from triptych.data.disk.config_llama_factory import sources_of
from triptych.data.disk.config_paths import Where, counted, sayable
from triptych.data.disk.json_members import members_of
from triptych.data.disk.json_rows import row_places
from triptych.data.disk.shards import expand
from triptych.data.transform import TransformPlan

_MANY = 1_000_000
"""Images of a row: no limit."""


class SourcePlan(Settings):
    """One source of a mixture, as a recipe has it under ``data``."""

    source: str
    """``FORMAT:PATH#key=value``."""
    transforms: tuple[TransformPlan, ...] = ()
    """What is done to its rows, in order."""
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """How often an epoch has each of its rows."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Most rows that an epoch takes."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A mixture file, imported."""

    kind: Literal["mantis", "llava", "mimicit", "internvl", "llama_factory"]
    """Whose file it is."""
    plans: tuple[SourcePlan, ...]
    notes: tuple[str, ...]
    """What the file asks for and the sources do not say, a line each; none is left out in silence."""

    def as_yaml(self) -> str:
        """Return the ``data`` of a recipe's stage, with the notes as comments above it."""
        tree: list[Json] = [plan.model_dump(mode="json", exclude_defaults=True) for plan in self.plans]
        notes = "".join(f"# note: {note}\n" for note in self.notes)
        return notes + write_yaml({"data": tree})


class _Any(BaseModel):
    model_config = ConfigDict(extra="allow")


_MANTIS_FORMATS: Mapping[str, str] = {
    "chat": "mantis",
    "chat_video": "mantis_video",
    "classification": "mantis_classification",
    "qwen2_video_classification": "mantis_classification",
}
_CHOSEN = "{key} chooses {count} rows once; here an epoch takes {count} at random, other ones each time."
_STRATEGY = re.compile(r"(first|end|random):(\d{1,12})(%?)")


def import_config(
    path: Path, *, root: Path | None = None, images: Path | None = None, videos: Path | None = None
) -> Imported:
    """Return a mixture file's sources, and notes on what they do not say.

    Args:
        path: the YAML or JSON file; whose it is is seen from its keys.
        root: where its relative paths begin; None: in its own folder, or where nothing is there, in the current one.
        images: where the rows' image paths begin, for LLaVA: there the trainer's command says it.
        videos: likewise for videos.

    Raises:
        NotFoundError: no such file.
        ConfigError: it is none of the five, or has a key or a value that these do not have.
    """
    tree = load_config(path, model=_Any).model_extra or {}
    keys = set(tree)
    where = Where(path, root, images, videos)
    if "datasets" in keys:
        llava = load_config(path, model=LlavaConfig)
        return Imported("llava", tuple(each for it in llava.datasets for each in _of_llava(it, where)), (*where.notes,))
    if "data" in keys:
        mantis = load_config(path, model=MantisConfig)
        where.note(
            "all", "most of Mantis' trainers balance the sizes of sources: say mixing: mantis in the stage for it."
        )
        plans = tuple(plan for it in mantis.data if (plan := _of_mantis(it, where)) is not None)
        return Imported("mantis", plans, tuple(where.notes))
    if keys & set(MimicitConfig.model_fields):
        groups = load_config(path, model=MimicitConfig)
        entries = [
            (group, name, it) for group in MimicitConfig.model_fields for name, it in getattr(groups, group).items()
        ]
        if not entries:
            raise ConfigError(f"{path}: its groups are empty. Is it the right file?")
        plans = tuple(_of_mimicit(group, name, it, where) for group, name, it in entries)
        return Imported("mimicit", plans, tuple(where.notes))
    if tree and all(isinstance(entry, dict) and "annotation" in entry for entry in tree.values()):
        internvl = load_config(path, model=InternvlConfig).root
        plans = tuple(_of_internvl(name, it, where) for name, it in internvl.items())
        return Imported("internvl", plans, tuple(where.notes))
    if tree and all(isinstance(entry, dict) and PLACES & entry.keys() for entry in tree.values()):
        sets = load_config(path, model=LlamaFactoryConfig).root
        plans = tuple(SourcePlan(source=source, limit=limit) for source, limit in sources_of(sets, where))
        return Imported("llama_factory", plans, tuple(where.notes))
    groups_known = ", ".join(MimicitConfig.model_fields)
    raise ConfigError(
        f"{path}: neither 'data' (Mantis) nor 'datasets' (LLaVA) nor a group of MIMIC-IT ({groups_known}) nor sets "
        "with an 'annotation' (InternVL) or a 'file_name' (LLaMA-Factory) each."
    )


def _of_mantis(it: MantisEntry, where: Where) -> SourcePlan | None:
    """Return an entry's source; None, and a note, where there is none."""
    local = it.type != "huggingface"
    if left_out := _left_out(it, local=local):
        where.note(it.name, f"{left_out} Left out.")
        return None
    options = ""
    if local:
        source = f"{_MANTIS_FORMATS[it.format]}:{where.find(it.path, it.name)}"
        if it.video_dir is not None:
            options += f"#video_dir={where.find(it.video_dir, it.name)}"
    else:
        folder = where.find(f"{Path(it.path).name}/{it.name}", it.name)
        where.note(it.name, f"{it.path} on the hub is to be got first: {it.name} of it is expected in {folder}.")
        source, options = f"mantis_hub:{folder}", f"#split={it.split}"
    limit = it.max_size if it.shuffle else None
    if limit is not None:
        where.note(it.name, _CHOSEN.format(count=limit, key="max_size"))
    elif it.max_size is not None:
        options += f"#limit={it.max_size}"
    _note_mantis(it, where, local=local)
    return SourcePlan(source=source + options, transforms=tuple(_steps_of_mantis(it)), limit=limit)


def _left_out(it: MantisEntry, *, local: bool) -> str | None:
    """Return why an entry is no source; None where it is one."""
    if it.split != "train":
        return f"split {it.split} is not trained on."
    if it.format not in _MANTIS_FORMATS:
        return f"format {it.format} pairs videos and texts, which is no conversation."
    if not local and it.format != "chat":
        return f"{it.path} on the hub is no chat. Get it, and import it with type: json."
    return None


def _steps_of_mantis(it: MantisEntry) -> Iterator[TransformPlan]:
    if it.format == "chat_video" and (it.max_num_frames is not None or it.fps is not None):
        how: dict[str, Json] = {"fps": it.fps, "most": it.max_num_frames} if it.fps else {"n": it.max_num_frames}
        how |= {} if it.fps else {"way": "step"}
        yield TransformPlan.parse({"kind": "frames", **{key: value for key, value in how.items() if value is not None}})
    if it.max_num_images is not None or it.vl_only:
        most, fewest = it.max_num_images or _MANY, 1 if it.vl_only else 0
        yield TransformPlan.parse({"kind": "limit_images", "most": most, "fewest": fewest})


def _note_mantis(it: MantisEntry, where: Where, *, local: bool) -> None:
    said = {
        "max_seq_len": (it.max_seq_len is not None, "the length is a stage's: pack_tokens"),
        "max_image_size": (it.max_image_size is not None, "the size of images is limited by a stage's image budget"),
        "offline_sha": (it.offline_sha is not None, "nothing is read from the cache of the datasets library"),
        "packing_same_mm_media": (it.packing_same_mm_media, "rows of one image are packed like any others"),
        "video_dir": (it.video_dir is not None and not local, "a hub source has its pictures beside it"),
        "max_size": (
            it.max_size is not None and it.max_num_images is not None and not local,
            "the rows are counted before those with too many images are refused, not after it",
        ),
        "fps": (it.fps is not None and it.max_num_frames is not None, "a long video is not cut at its end but spread"),
    }
    unread = it.format != "chat_video" and (it.max_num_frames is not None or it.fps is not None)
    for key, (given, note) in {**said, "max_num_frames": (unread, "only videos have frames to choose")}.items():
        if given:
            where.note(it.name, f"{key} is not taken over: {note}.")


def _of_llava(it: LlavaEntry, where: Where) -> Iterator[SourcePlan]:
    if "{" in it.json_path:
        try:
            names = [str(each) for each in expand(Path(it.json_path))]
        except DataError as error:
            raise ConfigError(f"{where.config}: datasets: {error}") from None
    else:
        names = [it.json_path]
    for name in names:
        entry = Path(name).name
        path = where.find(name, entry)
        options = f"#image_dir={sayable(where.images, entry)}" if where.images else ""
        options += f"#video_dir={sayable(where.videos, entry)}" if where.videos else ""
        first, limit = _rows_of_llava(it.sampling_strategy, path, where)
        options += f"#limit={first}" if first is not None else ""
        yield SourcePlan(source=f"llava:{path}{options}", limit=limit)


def _rows_of_llava(strategy: str, path: Path, where: Where) -> tuple[int | None, int | None]:
    """Return how many of the first rows, and how many rows of an epoch, a strategy takes."""
    if strategy == "all":
        return None, None
    found = _STRATEGY.fullmatch(strategy)
    if found is None or int(found[2]) < 1:
        raise ConfigError(
            f"{where.config}: sampling_strategy {strategy!r} is none of all, first:N, end:N and random:N, N a number"
            " above 0 or a percentage."
        )
    count = int(found[2])
    if found[3]:
        rows = counted(path, lambda: sum(1 for _ in row_places(path)), where=where)
        if rows is None:
            where.note(path.name, f"{strategy} is not taken over: its rows cannot be counted. All are taken.")
            return None, None
        count = max(1, ceil(rows * count / 100))
    if found[1] == "first":
        return count, None
    what = "the last rows" if found[1] == "end" else "one choice, drawn without a seed"
    where.note(path.name, f"{strategy} takes {what}; here an epoch takes {count} at random, other ones each time.")
    return None, count


def _of_mimicit(group: str, name: str, it: MimicitEntry, where: Where) -> SourcePlan:
    entry = f"{group}.{name}"
    instructions = where.find(it.mimicit_path, entry)
    options = f"#images={where.find(it.images_path, entry)}" if it.images_path else ""
    train = where.find(it.train_config_path, entry) if it.train_config_path else None
    if train is not None:
        options += f"#train={train}"
    elif group == "IMAGE_TEXT_IN_CONTEXT":
        options += "#context=related"
        where.note(entry, "without a train_config_path, the contexts are taken from rel_ins_ids.")
    else:
        options += "#context=none"
    if group == "VIDEO_TEXT":
        where.note(
            entry, "all frames are taken; Otter's trainer resamples them to --resample_frames: see limit_images."
        )
    told = (it.task_description,) if isinstance(it.task_description, str) else it.task_description
    steps = []
    if told:
        rule: Json = {"prefix": [f"{each}\n" for each in told]}
        steps.append(TransformPlan.parse({"kind": "task_prompt", "rules": [rule]}))
    weight, limit = _share_of_mimicit(it.num_samples or 0, train, instructions, entry, where)
    return SourcePlan(source=f"mimicit:{instructions}{options}", transforms=tuple(steps), weight=weight, limit=limit)


def _share_of_mimicit(
    samples: int, train: Path | None, instructions: Path, entry: str, where: Where
) -> tuple[float, int | None]:
    """Return the weight and the limit that take so many samples an epoch."""
    if samples < 1:
        return 1.0, None
    listing, inside = (train, None) if train is not None else (instructions, "data")
    rows = counted(listing, lambda: sum(1 for _ in members_of(listing, inside=inside)), where=where)
    if rows is None:
        where.note(entry, f"num_samples is {samples} at most: its rows cannot be counted, so none is repeated.")
    if rows is not None and samples > rows:
        return samples / rows, None
    if samples == rows:
        return 1.0, None
    where.note(entry, _CHOSEN.format(count=samples, key="num_samples"))
    return 1.0, samples


def _of_internvl(name: str, it: InternvlEntry, where: Where) -> SourcePlan:
    annotation = where.find(it.annotation, name)
    options = ""
    if it.root:
        folder = where.find(it.root, name)
        options = f"#image_dir={folder}#video_dir={folder}"
    options += "#missing_marks=line"
    if it.data_augment:
        where.note(name, "data_augment is not taken over: pictures are shown as they are.")
    if it.max_dynamic_patch is not None:
        where.note(
            name, "max_dynamic_patch is not taken over: the size of images is limited by a stage's image budget."
        )
    if it.repeat_time < 1:
        rows = counted(annotation, lambda: sum(1 for _ in row_places(annotation)), where=where)
        if rows is None:
            where.note(name, f"repeat_time {it.repeat_time} is not taken over: its rows cannot be counted.")
        else:
            options += f"#limit={int(rows * it.repeat_time)}"
    weight = it.repeat_time if it.repeat_time > 1 else 1.0
    return SourcePlan(source=f"llava:{annotation}{options}", weight=weight)
