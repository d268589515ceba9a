"""A run of a generate recipe: stage after stage, each from the file of the one before, and again from wherever it died.

Not a stage, nor what any of them means. A stage that is finished, with the same settings, prompts and items, is kept; a
changed one is made anew, and what follows too where its items changed. What a teacher has once replied is on disk and
is never asked again. So a run may be killed at any moment, and started again, and what comes out is the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

from triptych.core.config import first_difference
from triptych.core.errors import ConfigError, NotFoundError, TriptychError
from triptych.core.files import only_one, write_atomically
from triptych.core.log import logged, progress, say
from triptych.core.records import Json
from triptych.core.rollback import left_as, look_before
from triptych.core.shard import Shard
from triptych.generate import prompts
from triptych.generate.recipe import OWN_FILES, RECIPE, BudgetPlan, Recipe, identity, read_recipe, write_recipe
from triptych.generate.running import stage_work
from triptych.generate.running.asking import BudgetUsedError, ask_all
from triptych.generate.running.costs import Totals
from triptych.generate.running.files import STAGES, Note, Placed, StageFiles, stamp, write_refusals
from triptych.generate.running.replies import ReplyStore
from triptych.generate.running.shards import claim, has_worked, put_together, shared_stages
from triptych.generate.running.spend import Account
from triptych.generate.running.stage_work import Work
from triptych.generate.running.teachers import Teacher, look_for_teacher, open_teacher

LOCK = "lock"
LOG = "log.txt"
SPEND = "spend.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has made so far."""

    folder: Path
    stages: tuple[Note, ...]
    """Finished ones, in order."""
    totals: Mapping[str, Totals]
    """What each teacher has taken, over all starts."""
    stopped: str = ""
    """Why it is not finished, and what to do; empty: it is."""
    waits_for_merge: bool = False
    """Whether it is a part of a run, and done with what a part can do."""
    written: tuple[tuple[str, int], ...] = ()
    """Each file that a stage has written, ``FORMAT:PATH``, and how many items are in it."""

    @property
    def pairs(self) -> int:
        """Questions with a reply that were kept."""
        return self.stages[-1].pairs if self.stages else 0

    @property
    def usd(self) -> float:
        """Money spent, over all starts."""
        return sum(total.all_usd for total in self.totals.values())


@dataclass
class _Run:
    """One start of a run. Its state is what is open."""

    recipe: Recipe
    folder: Path
    store: ReplyStore
    account: Account
    shard: Shard | None
    teachers: dict[str, Teacher] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def teacher(self, name: str) -> Teacher:
        """Return a teacher, opened when it is first needed."""
        if name not in self.teachers:
            plan = self.recipe.teachers[name]
            opened = open_teacher(name, plan, account=self.account, store=self.store, folder=self.folder)
            self.teachers[name] = opened
        return self.teachers[name]


def generate(recipe: Recipe, *, folder: Path, shard: Shard | None = None) -> Outcome:
    """Run a recipe, or go on with it.

    Args:
        recipe: what to do.
        folder: of the run, ``runs/NAME``; made if need be.
        shard: do this part of the items only, as far as a part can; None: all.

    Raises:
        RunError: another process works in the folder, it is of another part, an endpoint is down, a stage broke its
            promise.
        ConfigError, NotFoundError, ModelError, DataError: a stage's source or a teacher cannot be opened, or a stage
            stands where it can do nothing.
    """
    recipe.check_order()
    before, worked = look_before(folder), partial(has_worked, folder)
    with only_one(folder / LOCK), left_as(before, OWN_FILES, worked=worked), logged(folder / LOG):
        claim(folder, shard)
        _tell_changes(recipe, folder)
        write_atomically(folder / RECIPE, write_recipe(recipe))
        with ReplyStore(folder) as store:
            account = Account(_budget(recipe, shard), store.totals())
            run = _Run(recipe, folder, store, account, shard)
            stopped = ""
            last = len(recipe.stages) if shard is None else shared_stages(recipe)
            _look_for_teachers(recipe, last, store)
            try:
                for number in range(last):
                    run.notes.append(_stage(run, number))
            except BudgetUsedError as used:
                stopped = str(used)
                say(f"stopped: {stopped}")
            finally:
                write_refusals(folder, [recipe.label(number) for number in range(len(run.notes))])
                _write_spend(folder, store.totals())
            waits = shard is not None and last < len(recipe.stages) and not stopped
            return Outcome(folder, tuple(run.notes), store.totals(), stopped, waits, written_by(recipe, run.notes))


def _look_for_teachers(recipe: Recipe, last: int, store: ReplyStore) -> None:
    """See that those who will be asked are there, before hours of other stages. Raises as `look_for_teacher`.

    One who has replied may be gone: stages that are finished are kept without it.
    """
    asked = dict.fromkeys(plan.teacher for plan in recipe.stages[:last] if plan.teacher is not None)
    replied = store.totals()
    for name in asked:
        if name not in replied:
            look_for_teacher(recipe.teachers[name])


def _budget(recipe: Recipe, shard: Shard | None) -> BudgetPlan:
    """Return what a start may spend: a part of the run its share, so that all parts together keep to the budget."""
    usd, tokens = recipe.budget.usd, recipe.budget.tokens
    if shard is None or usd is tokens is None:
        return recipe.budget
    parts = shard.count
    say(f"part {shard} may spend its share of the budget: 1/{parts} of it")
    return BudgetPlan(usd=usd and usd / parts, tokens=tokens and max(1.0, tokens / parts))


def merge(folders: Sequence[Path], *, out: Path) -> Outcome:
    """Put the parts of a run together, and run the stages that need all items.

    Args:
        folders: of the parts.
        out: of the whole; made if need be.

    Raises:
        RunError, NotFoundError: as `put_together` and `generate`.
    """
    for folder in folders:
        read_recipe(folder)  # before anything is written: a folder that is no run gets no file of ours
    before = look_before(out)
    with only_one(out / LOCK), left_as(before, OWN_FILES, worked=partial(has_worked, out)):
        recipe = put_together(folders, out)
    return generate(recipe, folder=out)


def _stage(run: _Run, number: int) -> Note:
    """Return the note of a stage: of the kept one, or of the one that is made now."""
    recipe, label = run.recipe, run.recipe.label(number)
    files = StageFiles(run.folder, label)
    came = run.notes[-1].left if run.notes else ""
    told = identity(recipe, number, shard=str(run.shard) if run.shard else "")
    if (note := files.read_note()) is not None:
        why = _why_anew(note, told, came)
        if why is None and recipe.stages[number].stage.write is None:  # what it wrote may be gone
            say(f"{label}: kept, {note.items_out:,} items")
            return note
        if why is not None:
            say(f"{label}: {why}")
    plan = recipe.stages[number]
    work = Work(plan, label, recipe.salt(number), run.folder)
    begin = time.monotonic()
    sources = {str(path): stamp(path) for path in (plan.stage.reads(plan.settings) if plan.stage.reads else ())}
    empty = Note(label, told, came, left="", size_bytes=0, items_in=0, items_out=0)
    note = files.write(_made(run, work, number, files), replace(empty, prompts=work.prompts, sources=sources))
    seconds = round(time.monotonic() - begin, 3)
    note = replace(note, items_in=work.items_in, failed=work.failed, seconds=seconds)
    files.write_note(note)
    files.keys.unlink(missing_ok=True)
    say(stage_line(note))
    return note


def _made(run: _Run, work: Work, number: int, files: StageFiles) -> Iterator[Placed]:
    """Yield what a stage makes; its teacher is asked first, but for the replies that are there already."""
    label, stage, shard = work.label, work.stage, run.shard
    if stage.begin is not None:
        with work.showing(label):
            yield from stage_work.begin(work, belongs=shard.holds if shard else lambda name: True)
        return
    total = run.notes[-1].items_out
    source = StageFiles(run.folder, run.recipe.label(number - 1))
    if stage.ask is None:
        with work.showing(label, total):
            made = stage_work.each if stage.each is not None else stage_work.whole
            yield from made(work, source.read_items())
        return
    name = work.plan.teacher
    assert name is not None, f"{label} asks nobody"
    teacher = cache(partial(run.teacher, name))
    with progress(f"{label} asking", total) as advance:
        asked = ask_all(
            (stage_work.item_of(placed) for placed in source.read_items()),
            work.requests(),
            teacher=teacher,
            store=run.store,
            label=label,
            total=total,
            keys=files.keys,
            account=run.account,
            advance=advance,
        )
    if asked:
        say(f"{label}: {asked:,} new replies from {teacher().model}")
    with work.showing(label, total):
        yield from stage_work.take(work, source.read_items(), store=run.store, keys=files.keys, teacher=teacher)


def _why_anew(note: Note, told: str, came: str) -> str | None:
    """Return why a finished stage is made anew; None: it is not."""
    if note.identity != told:
        return "its settings changed, so it is made anew; replies to what is asked alike are kept"
    if note.came != came:
        return "its items changed, so it is made anew"
    for source, told_stamp in note.sources.items():
        if stamp(Path(source)) not in ("", told_stamp):
            return f"{source} changed, so it is read anew"
    for name, told_hash in note.prompts.items():
        try:
            now = prompts.load(name).hash
        except TriptychError:
            now = ""
        if now != told_hash:
            return f"the prompt {name} changed, so it is made anew"
    return f"{note.failed:,} requests failed before, and are asked again" if note.failed else None


def _tell_changes(recipe: Recipe, folder: Path) -> None:
    """Say what is another in the recipe than at the last start, and clear away stages that it has no more."""
    try:
        before = read_recipe(folder)
    except NotFoundError:
        return
    except ConfigError as error:
        say(f"the recipe of the last start cannot be read any more ({error})")
        return
    if found := first_difference(recipe.model_dump(mode="json"), before.model_dump(mode="json")):
        here = found.replace(" there, ", " at the last start, ").removesuffix(" here") + " now"
        say(f"the recipe changed: {here}. Stages that this does not touch keep their work.")
    labels = {recipe.label(number) for number in range(len(recipe.stages))}
    for path in (folder / STAGES).glob("*"):
        if path.name.strip(".").partition(".")[0] not in labels:
            path.unlink()


def written_by(recipe: Recipe, notes: Sequence[Note]) -> tuple[tuple[str, int], ...]:
    """Return what the stages have written: what a later one refuses is in an earlier one's file all the same."""
    pairs = zip(recipe.stages, notes, strict=False)
    return tuple((str(getattr(plan.settings, "to", "")), note.items_out) for plan, note in pairs if plan.stage.write)


def _write_spend(folder: Path, totals: Mapping[str, Totals]) -> None:
    teachers: dict[str, Json] = {
        name: {
            "replies": total.replies,
            "tokens_in": total.tokens_in,
            "tokens_out": total.tokens_out,
            "usd": total.usd,
            "seconds": round(total.seconds, 3),
            "lost_tokens": total.lost_tokens,
            "lost_usd": total.lost_usd,
        }
        for name, total in totals.items()
    }
    whole: dict[str, Json] = {
        "tokens": sum(total.tokens for total in totals.values()),
        "usd": sum(total.all_usd for total in totals.values()),
    }
    write_atomically(folder / SPEND, json.dumps({**whole, "teachers": teachers}, indent=1) + "\n")


def stage_line(note: Note) -> str:
    """Return one line on a finished stage."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in note.refused.items())
    refused = f", {sum(note.refused.values()):,} refused ({reasons})" if reasons else ""
    failed = f"; {note.failed:,} requests failed, and are asked again by the next start" if note.failed else ""
    return f"{note.label}: {note.items_in:,} in, {note.items_out:,} out{refused}{failed}"
