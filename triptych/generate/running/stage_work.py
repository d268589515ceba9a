"""What a stage makes of its items: its function called as its kind is, its promise checked, its entry written.

Not where items lie (``files``) and not the asking (``asking``). Invariants: what comes out follows from the items, the
settings, the seed and the replies; every item that goes in comes out, or the run ends and says which stage lost it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from triptych.core.errors import DataError, RunError
from triptych.core.log import Advance, progress
from triptych.core.records import Answer, Json
from triptych.core.thinking import spoken, unfinished
from triptych.data.transform import draw
from triptych.generate import prompts
from triptych.generate.item import Annotation, Item, Refusal
from triptych.generate.recipe import StagePlan
from triptych.generate.running.asking import RequestsOf
from triptych.generate.running.costs import Reply
from triptych.generate.running.files import Placed, item_line, short_id
from triptych.generate.running.replies import NoReply, ReplyStore
from triptych.generate.running.teachers import Teacher
from triptych.generate.stage import Begin, Made, Request, Stage
from triptych.infer.responder import Failed

SHOW_EVERY = 50
"""Items between two steps of a bar."""


@dataclass
class Work:
    """One stage at work. Its state is what it has counted."""

    plan: StagePlan
    label: str
    salt: str
    """What its draws follow from."""
    folder: Path
    """Folder of the run."""
    items_in: int = 0
    failed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    prompts: dict[str, str] = field(default_factory=dict)
    """Hash of each prompt that was used."""
    _seen: set[int] = field(default_factory=set)
    _advance: Advance | None = None
    _unshown: int = 0
    _total: int | None = None

    @property
    def stage(self) -> Stage:
        """The plug-in."""
        return self.plan.stage

    @property
    def seed(self) -> int:
        """The seed of a stage that draws for all items together."""
        return int.from_bytes(hashlib.sha256(self.salt.encode()).digest()[:8], "big")

    @contextmanager
    def showing(self, label: str, total: int | None = None) -> Iterator[None]:
        """Show how far it is while the block runs; without a total, what has come so far."""
        with progress(label, total or 0) as self._advance:
            self._total = total
            yield
            if self._total is not None:
                self.shown(0)
        self._advance = None

    def shown(self, units: int) -> None:
        """Count items that are done, and show it now and then."""
        self._unshown += units
        if self._advance is not None and (self._unshown >= SHOW_EVERY or not units) and self._unshown:
            told = ", ".join(f"{reason} {count:,}" for reason, count in self.refused.most_common(3))
            refused = f"refused {self.refused.total():,}: {told}" if told else ""
            self._advance(self._unshown, refused, total=self.items_in + 1 if self._total is None else self._total)
            self._unshown = 0

    def draw(self, name: str) -> Random:
        """Return what draws for an item."""
        return draw(self.salt, name)

    def requests(self) -> RequestsOf:
        """Return what asks about an item."""
        return RequestsOf(self.stage.ask, self.plan.settings, self.draw)


def item_of(placed: Placed) -> Item:
    """Return an item of a stage's file, which holds no refusals."""
    assert isinstance(placed.made, Item), "a refusal among a stage's items"
    return placed.made


def begin(work: Work, *, belongs: Callable[[str], bool]) -> Iterator[Placed]:
    """Yield the items of a stage that makes them, and what it refused.

    Args:
        work: the stage.
        belongs: whether an item of this id is made here, or on another machine.
    """
    started: Begin | None = work.stage.begin
    assert started is not None, f"{work.label} does not begin"
    for at, made in enumerate(started(work.plan.settings, work.seed)):
        item = made.item if isinstance(made, Refusal) else made
        if belongs(item.id):
            work.items_in += 1
            yield from _finished(work, [made], at, entry={}, before=None)
            work.shown(1)


def each(work: Work, items: Iterable[Placed]) -> Iterator[Placed]:
    """Yield what a stage makes of each item alone."""
    function = work.stage.each
    assert function is not None, f"{work.label} is not of one item"
    for placed in items:
        item = item_of(placed)
        work.items_in += 1
        try:
            made: Sequence[Made] = function(item, work.plan.settings, work.draw(item.id))
        except DataError as error:
            made = [_refused(item, error)]
        yield from _finished(work, _checked(work, made, item), placed.at, entry={}, before=item)
        work.shown(1)


def take(
    work: Work, items: Iterable[Placed], *, store: ReplyStore, keys: Path, teacher: Callable[[], Teacher]
) -> Iterator[Placed]:
    """Yield what a stage makes of each item and the replies to its requests.

    Args:
        work: the stage.
        items: the same that were asked about.
        store: has their replies.
        keys: of `asking.ask_all`.
        teacher: opens who was asked, where anybody was.
    """
    requests_of, function = work.requests(), work.stage.take
    assert function is not None, f"{work.label} takes no replies"
    with keys.open(encoding="ascii") as lines:
        for placed, line in zip(items, lines, strict=True):
            item = item_of(placed)
            work.items_in += 1
            try:
                requests = requests_of(item)
                found = [store.get(key) or store.failure(key) for key in json.loads(line)]
                replies = [_said(item, *pair) for pair in zip(requests, found, strict=True)]
                work.failed += sum(reply is None or (isinstance(reply, NoReply) and reply.again) for reply in found)
                made: Sequence[Made] = function(item, work.plan.settings, replies)
                taken = [reply for reply in found if isinstance(reply, Reply)]
                entry = _entry(work, requests, taken, teacher()) if requests else {}
            except DataError as error:
                made, entry = [_refused(item, error)], {}
            yield from _finished(work, _checked(work, made, item), placed.at, entry=entry, before=item)
            work.shown(1)


def whole(work: Work, items: Iterable[Placed]) -> Iterator[Placed]:
    """Yield what a stage makes of all items together; where each comes from is counted anew."""
    missing: set[int] = set()
    sample = ""

    def given() -> Iterator[Item]:
        for placed in items:
            work.items_in += 1
            item = item_of(placed)
            missing.add(short_id(item.id))
            yield item
            work.shown(1)

    stage = work.stage
    if stage.write is not None:
        made = stage.write(given(), work.plan.settings, work.folder)
    else:
        assert stage.whole is not None, f"{work.label} is of no kind"
        made = stage.whole(given(), work.plan.settings, work.seed)
    for at, one in enumerate(made):
        item = one.item if isinstance(one, Refusal) else one
        for name in (item.id, *item.parents):
            missing.discard(short_id(name))
        sample = item.id
        yield from _finished(work, [one], at, entry={}, before=None)
    if missing:
        raise RunError(
            f"{work.label} lost {len(missing):,} of {work.items_in:,} items (the last that came out is {sample!r})."
            " Mend the stage: every item comes out, as itself, as a parent, or as a refusal."
        )


def _finished(
    work: Work, made: Sequence[Made], at: int, *, entry: Mapping[str, Json], before: Item | None
) -> Iterator[Placed]:
    """Yield what was made with its entry in the history; what cannot be written, or has a name twice, is refused."""
    for one in made:
        item = one.item if isinstance(one, Refusal) else one
        parents = item.parents if before is None or before.parents != item.parents else ()
        told: dict[str, Json] = {"stage": work.label, "kind": work.plan.kind, **entry}
        if parents:
            told["parents"] = list(parents)
        item = _with_entry(item, told)
        if isinstance(one, Refusal):
            refusal = replace(one, item=item, stage=work.label)
        elif short_id(item.id) in work._seen:
            message = f"{item.annotation.origin or item.id}: a second item is called {item.id!r}."
            refusal = Refusal(item, "id twice", message, work.label)
        else:
            refusal = None
        line = b""
        try:
            line = item_line(at, item)
        except DataError as error:
            plain = before if before is not None else _plain(item)
            refusal = Refusal(plain, "cannot be written down", str(error), work.label)
        if refusal is None:
            work._seen.add(short_id(item.id))
            yield Placed(at, item, line)
        else:
            work.refused[refusal.reason] += 1
            yield Placed(at, refusal)


def _plain(item: Item) -> Item:
    """Return what of an item can be written: its annotation, or where that cannot, its id and where it was read."""
    plain = Item(item.id, item.annotation, parents=item.parents)
    try:
        item_line(0, plain)
    except DataError:
        known = item.annotation
        return Item(item.id, Annotation(known.id, (), origin=known.origin), parents=item.parents)
    return plain


def _with_entry(item: Item, told: Mapping[str, Json]) -> Item:
    """Return the item with one more entry; what the stage has written of its own, without its name, is part of it."""
    *earlier, last = item.history or ({"stage": ""},)
    if "stage" in last:
        return replace(item, history=(*item.history, told))
    return replace(item, history=(*earlier, {**told, **last}))


def _entry(work: Work, requests: Sequence[Request], taken: Sequence[Reply], teacher: Teacher) -> dict[str, Json]:
    """Return who was asked with what, and what that took."""
    for request in requests:
        if request.prompt and request.prompt not in work.prompts:
            work.prompts[request.prompt] = prompts.load(request.prompt).hash
    names = sorted({request.prompt for request in requests if request.prompt})
    hashes: list[Json] = [work.prompts[name] for name in names]
    most = teacher.most_tokens or max(request.max_tokens for request in requests)
    return {
        "teacher": teacher.name,
        "model": teacher.model,
        "parameters": {**teacher.parameters, "max_tokens": most},
        "prompt": names[0] if len(names) == 1 else [*names],
        "prompt_hash": hashes[0] if len(hashes) == 1 else hashes,
        "requests": len(requests),
        "tokens_in": sum(reply.tokens_in for reply in taken),
        "tokens_out": sum(reply.tokens_out for reply in taken),
        "usd": sum(reply.usd for reply in taken),
        "seconds": round(sum(reply.seconds for reply in taken), 3),
    }


def _said(item: Item, request: Request, found: Reply | NoReply | None) -> Answer | Failed:
    name = f"{item.id}/{request.name}"
    if isinstance(found, Reply):
        # On disk the reply is as it came; here alone every stage gets it, so that no draft of it is read anywhere.
        if (said := spoken(found.text)) is None or unfinished(found.text):
            return Failed(name, "it thought, and nothing was said behind that: raise max_tokens")
        return Answer(name, said, tokens_in=found.tokens_in, tokens_out=found.tokens_out, cut=found.cut)
    return Failed(name, found.reason if found is not None else "nobody answered; run again")


def _checked(work: Work, made: Sequence[Made], item: Item) -> Sequence[Made]:
    if not made:
        raise RunError(f"{work.label} lost {item.id!r}. Mend the stage: every item comes out, or is refused.")
    return made


def _refused(item: Item, error: DataError) -> Refusal:
    return Refusal(item, str(getattr(error, "reason", "cannot be used")), str(error))
