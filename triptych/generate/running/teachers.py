"""The teachers of a run, opened when the first question comes: who answers, how a question is known, what it costs.

Not what they said (``replies``). An endpoint takes questions as a stream; a model in this process and canned replies
take them in ``windows``. Every question passes the run's one account before it is asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from triptych.core.errors import ModelError
from triptych.core.log import say
from triptych.core.records import Answer, Example, Json
from triptych.generate.recipe import CANNED, CannedTeacher, EndpointTeacher, LocalTeacher, TeacherPlan, lasting
from triptych.generate.running.costs import Reply, Totals
from triptych.generate.running.replies import ReplyStore
from triptych.generate.running.spend import Account, Allowance, Prices
from triptych.generate.running.windows import Windowed
from triptych.generate.stage import Request
from triptych.infer.answer_cache import Digests, prompt_key
from triptych.infer.canned import open_canned
from triptych.infer.endpoint.limits import Cost
from triptych.infer.responder import EachResponder, Query, Responder, Told, knows_ids, writable
from triptych.infer.settings import address_of

STARTER = "starter"
STARTER_WORDS = "starter:smollm2-135m-instruct"
LOCAL_WINDOW = 256
"""Questions that a model in this process gets at once, to batch those of like length."""
DIGESTS = 20_000
"""Number of images whose digests are remembered."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model that is asked, with what is known of it."""

    name: str
    """Its name in the recipe."""
    responder: EachResponder
    model: str
    """What reports call it."""
    fingerprint: str
    parameters: dict[str, Json]
    """Its settings in the recipe, without those that change no reply."""
    most_tokens: int | None
    """Most tokens of a reply, where the recipe says it; None: what each request says."""
    allowance: Allowance
    by_id: bool
    """Whether a reply may depend on what a question is called."""
    draws: bool
    """Whether another sample may be another reply."""
    keeps: bool
    """Whether replies are on disk already when they are yielded."""

    def query(self, request: Request, *, label: str, digests: Digests) -> tuple[str, Query]:
        """Return a request as it is asked, and the key of its reply.

        Args:
            request: of a stage.
            label: distinct in the run, for people: item, stage and request.
            digests: of pictures.
        """
        max_tokens = self.most_tokens or request.max_tokens
        sample = request.sample if self.draws else 0
        schema = json.dumps(request.schema, sort_keys=True) if request.schema else ""
        who = "\n".join([self.fingerprint, str(sample), schema, label if self.by_id else ""])
        key = prompt_key(request.question, fingerprint=who, max_tokens=max_tokens, digests=digests)
        named = Example(
            id=label if self.by_id else key,
            turns=request.question.turns,
            demonstrations=request.question.demonstrations,
            origin=label,
            facts={"sample": sample},
        )
        return key, Query(named, max_tokens, request.schema, sample)


def open_teacher(name: str, plan: TeacherPlan, *, account: Account, store: ReplyStore, folder: Path) -> Teacher:
    """Open a teacher.

    Args:
        name: in the recipe.
        plan: who, and how.
        account: of all teachers.
        store: where requests and replies are written down.
        folder: of the run, where batches are noted.

    Raises:
        ConfigError, NotFoundError, ModelError: it cannot be opened, or not so.
    """
    settings = plan.settings
    known = store.totals().get(name, Totals()).learnt
    prices = Prices(settings.price_in, settings.price_out)
    bills = isinstance(settings, EndpointTeacher) and not settings.batch  # batches have a ledger of their own
    allowance = Allowance(account, store, teacher=name, prices=prices, bills=bills, known=known)
    responder, model, fingerprint, draws = _opened(name, plan, allowance, store, folder)
    return Teacher(
        name=name,
        responder=responder,
        model=model,
        fingerprint=fingerprint,
        parameters={key: value for key, value in lasting(plan).items() if key != "model" and value is not None},
        most_tokens=settings.max_tokens,
        allowance=allowance,
        by_id=knows_ids(cast("Responder", getattr(responder, "inner", responder))),
        draws=draws,
        keeps=bills,
    )


def look_for_teacher(plan: TeacherPlan) -> None:
    """See that a teacher is there, without its weights and without asking it.

    Raises:
        ConfigError, NotFoundError, ModelError, DataError: as `open_teacher` would, from what can be seen.
    """
    if isinstance(plan.settings, CannedTeacher):
        open_canned(plan.model.removeprefix(CANNED))
    elif isinstance(plan.settings, EndpointTeacher):
        from triptych.infer.endpoint.remote import api_key

        address = address_of(plan.model)
        assert address is not None, "an endpoint's settings without an address"
        api_key(address)
    else:
        _find_local(plan.model)


def reply_of(told: Told, *, model: str, allowance: Allowance) -> Reply:
    """Return what a question got as it is kept; it got an answer."""
    assert isinstance(told.said, Answer), "a failure is no reply"
    return Reply(
        text=writable(told.said.text),
        model=model,
        tokens_in=told.tokens_in,
        tokens_out=told.tokens_out,
        usd=allowance.prices.usd(Cost(told.tokens_in, told.tokens_out)),
        seconds=round(told.seconds, 3),
        learnt=allowance.learnt,
        cut=told.said.cut,
    )


def _opened(
    name: str, plan: TeacherPlan, allowance: Allowance, store: ReplyStore, folder: Path
) -> tuple[EachResponder, str, str, bool]:
    """Return who answers, what it is called, its fingerprint, and whether it draws."""
    settings = plan.settings
    if isinstance(settings, CannedTeacher):
        canned = open_canned(plan.model.removeprefix(CANNED))
        return Windowed(canned, allowance, window=1), canned.name, canned.fingerprint, True
    if isinstance(settings, EndpointTeacher):
        address = address_of(plan.model)
        assert address is not None, "an endpoint's settings without an address"
        from triptych.infer.endpoint.remote import RemoteResponder  # which loads the client only where one is asked

        def keep(told: Told) -> None:
            store.put(told.said.id, name, reply=reply_of(told, model=address.model, allowance=allowance))

        remote = RemoteResponder(address, settings, allowance=allowance, keep=None if settings.batch else keep)
        if settings.batch:
            from triptych.generate.running.batches import BatchResponder

            batch = BatchResponder(
                remote,
                allowance,
                folder=folder,
                teacher=name,
                poll_s=settings.poll_s,
                kept=store.has,
                keep=keep,
            )
            return batch, remote.name, remote.fingerprint, True
        return remote, remote.name, remote.fingerprint, True
    return _local(plan.model, settings, allowance)


def _find_local(model: str) -> tuple[Path, bool]:
    """Return a model's folder, and whether it is one of words alone."""
    from triptych.models.disk.locate import locate
    from triptych.models.family import family_of  # which loads torch

    folder = locate(STARTER_WORDS if model == STARTER else model)
    try:
        family_of(folder)
    except ModelError:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or []
        if not any(str(each).endswith("ForCausalLM") for each in said):
            raise
        return folder, True
    return folder, False


def _local(model: str, settings: LocalTeacher, allowance: Allowance) -> tuple[EachResponder, str, str, bool]:
    folder, is_words = _find_local(model)
    if is_words:
        from triptych.infer.words import WordsResponder

        say(f"opening {model}, a model of words alone")
        words = WordsResponder(
            folder,
            name=model,
            batch_tokens=settings.batch_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=settings.seed,
            device=settings.device,
            precision=settings.precision,
        )
        return Windowed(words, allowance, window=LOCAL_WINDOW), model, words.fingerprint, words.draws
    from triptych.infer.opening import open_responder

    chosen = {
        key: getattr(settings, key)
        for key in ("device", "precision", "batch_tokens", "share", "temperature", "top_p", "seed")
    }
    local = open_responder(str(folder), [f"{key}={json.dumps(value)}" for key, value in chosen.items()]).responder
    return Windowed(local, allowance, window=LOCAL_WINDOW), model, local.fingerprint, settings.temperature > 0


class RecentDigests(Digests):
    """What pictures hold, remembered for the last ones only: a run may see millions."""

    def of(self, source: str) -> str:
        """Return what tells the content of a picture or video."""
        if len(self._known) >= DIGESTS:
            self._known.clear()
        return super().of(source)
