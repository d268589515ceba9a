"""A run over several machines: which items are whose, and their folders put together without duplicates.

Not the stages (``pipeline``). An item belongs to a part by the digest of its id, so every machine cuts alike. A part
stops before the first stage that needs all items. Merged, the items stand in the order that one machine would have had,
so what comes out is the same.
"""

from __future__ import annotations

import heapq
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from triptych.core.config import first_difference
from triptych.core.errors import RunError
from triptych.core.files import write_atomically
from triptych.core.records import Json
from triptych.core.shard import Shard, parse_shard
from triptych.generate.item import Item
from triptych.generate.recipe import RECIPE, Recipe, identity, lasting, read_recipe, write_recipe
from triptych.generate.running.files import STAGES, Note, Placed, StageFiles, short_id
from triptych.generate.running.replies import BATCHES, REPLIES

PART = "part.json"


def claim(folder: Path, shard: Shard | None) -> None:
    """Write down which part a folder holds.

    Raises:
        RunError: it holds another one, or a run of another kind.
    """
    there = part_in(folder)
    if (folder / RECIPE).exists() and not ((folder / PART).exists() or (folder / STAGES).is_dir()):
        raise RunError(
            f"{folder} holds a run of another kind: its {RECIPE} is none of triptych generate. Use another folder or"
            " another name."
        )
    if there == shard and (folder / PART).exists():
        return
    if (folder / PART).exists() and has_worked(folder):
        held = f"part {there}" if there else "all items"
        raise RunError(f"{folder} holds {held}, not {f'part {shard}' if shard else 'all items'}. Use another folder.")
    write_atomically(folder / PART, json.dumps({"shard": str(shard) if shard else None}) + "\n")


def has_worked(folder: Path) -> bool:
    """Return whether a run has something to show: a finished stage, or something that a teacher was asked."""
    asked = [*(folder / REPLIES).glob("*.jsonl"), *(folder / BATCHES).glob("*")]
    return any((folder / STAGES).glob("*.json")) or any(path.stat().st_size for path in asked)


def part_in(folder: Path) -> Shard | None:
    """Return which part a run's folder holds; None: all, or nothing yet."""
    try:
        said = json.loads((folder / PART).read_text(encoding="utf-8"))["shard"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{folder / PART}: damaged. Delete the file, and run again with the same --shard.") from None
    return parse_shard(said) if said else None


def shared_stages(recipe: Recipe) -> int:
    """Return how many stages a part does: all before the first that needs every item."""
    for number, plan in enumerate(recipe.stages):
        if plan.stage.whole is not None or plan.stage.write is not None:
            return number
    return len(recipe.stages)


def shard_folders(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of parts among what was named: themselves, or those within a run's folder."""
    found: list[Path] = []
    for folder in folders:
        inner = [path for path in folder.glob("shard-*-of-*") if (path / PART).is_file()]
        found += inner if inner and part_in(folder) is None else [folder]
    return found


def put_together(folders: Sequence[Path], out: Path) -> Recipe:
    """Merge what the parts made into the folder of the whole, ready for the stages that need all items.

    Args:
        folders: of the parts, each once.
        out: of the whole; what it held of these stages is replaced, its replies stay.

    Raises:
        NotFoundError: a folder is no run.
        RunError: a part is missing, unfinished, there twice, or of another recipe; two parts have an item of one id.
    """
    recipes = {folder: read_recipe(folder) for folder in folders}
    parts: dict[Shard, Path] = {}
    for folder in folders:
        shard = part_in(folder)
        if shard is None:
            raise RunError(f"{folder} is no part of a run: it was made without --shard.")
        if shard in parts:
            raise RunError(f"{folder} and {parts[shard]} are both part {shard}. Name each part once.")
        parts[shard] = folder
    counts = {shard.count for shard in parts}
    if len(counts) > 1:
        raise RunError(
            f"the folders are parts of {' and '.join(map(str, sorted(counts)))}. Merge parts of one division."
        )
    (count,) = counts
    if absent := [str(Shard(k, count)) for k in range(1, count + 1) if Shard(k, count) not in parts]:
        raise RunError(f"part {absent[0]} is missing{f', and {len(absent) - 1} more' if absent[1:] else ''}. Name all.")
    recipe = recipes[folders[0]]
    for folder in folders[1:]:
        if found := first_difference(_compared(recipes[folder]), _compared(recipe)):
            raise RunError(f"{folder} was made by another recipe than {folders[0]}: {found}.")
    ordered = [parts[Shard(k, count)] for k in range(1, count + 1)]
    _check_finished(recipe, dict(zip((Shard(k, count) for k in range(1, count + 1)), ordered, strict=True)))
    claim(out, None)
    came = ""
    for number in range(shared_stages(recipe)):
        came = _merge_stage(recipe, number, ordered, out, came)
    for shard, folder in parts.items():
        for path in (folder / REPLIES).glob("*.jsonl"):
            shutil.copyfile(path, _made(out / REPLIES) / f"{path.stem}.{shard.folder}.jsonl")
    write_atomically(out / RECIPE, write_recipe(recipe))
    return recipe


def _check_finished(recipe: Recipe, parts: dict[Shard, Path]) -> None:
    for shard, folder in parts.items():
        for number in range(shared_stages(recipe)):
            note = StageFiles(folder, recipe.label(number)).read_note()
            if note is None or note.identity != identity(recipe, number, shard=str(shard)):
                raise RunError(
                    f"{folder} has not finished {recipe.label(number)}. Run it again: triptych generate run"
                    f" {folder / RECIPE} --shard {shard} --run {folder}"
                )


def _merge_stage(recipe: Recipe, number: int, folders: Sequence[Path], out: Path, came: str) -> str:
    """Merge one stage's files; return the digest of its items."""
    label = recipe.label(number)
    files = [StageFiles(folder, label) for folder in folders]
    notes = [note for each in files if (note := each.read_note()) is not None]
    prompts = {name: told for note in notes for name, told in note.prompts.items()}
    note = Note(
        label=label,
        identity=identity(recipe, number),
        came=came,
        left="",
        size_bytes=0,
        items_in=sum(note.items_in for note in notes),
        items_out=0,
        failed=sum(note.failed for note in notes),
        prompts=prompts,
        seconds=max(note.seconds for note in notes),
    )
    items = _in_order([each.read_items for each in files])
    refusals = _in_order([each.read_refusals for each in files])
    whole = StageFiles(out, label)
    note = whole.write(_both(_distinct(items, label), refusals), note)
    whole.write_note(note)
    return note.left


def _in_order(readers: Sequence[Callable[[], Iterator[Placed]]]) -> Iterator[Placed]:
    return heapq.merge(*(read() for read in readers), key=lambda placed: placed.at)


def _distinct(items: Iterable[Placed], label: str) -> Iterator[Placed]:
    """Yield the items; each id once. Raises RunError: two parts have made one of the same id."""
    seen: set[int] = set()
    for placed in items:
        name = placed.made.id if isinstance(placed.made, Item) else ""
        if (short := short_id(name)) in seen:
            raise RunError(
                f"{label}: two parts have an item {name!r}. Mend the stage: a child's id begins as its parent's."
            )
        seen.add(short)
        yield placed


def _both(items: Iterable[Placed], refusals: Iterable[Placed]) -> Iterator[Placed]:
    yield from items
    yield from refusals


def _compared(recipe: Recipe) -> Json:
    """Return what must be the same in all parts: not budgets, nor how hard a teacher is asked."""
    said: Json = recipe.model_dump(mode="json", exclude={"budget", "teachers"})
    teachers: dict[str, Json] = {name: lasting(teacher) for name, teacher in recipe.teachers.items()}
    return [said, teachers]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
