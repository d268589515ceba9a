"""An endpoint asked through its batch API (``/v1/batches``): files of requests go up, files of replies come down later.

Not asking at once (``infer/endpoint/in_flight.py``): batches are cheaper, and take hours. What was handed in is written
down before and after, in ``batches/`` of the run, so that a killed run waits for its batches and hands nothing in
again: a batch whose id was not written down any more is found by the mark that it bears. One is forgotten only when all
that it replied is kept.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

from triptych.core.errors import DataError, RunError
from triptych.core.files import append_json_line, read_json_lines
from triptych.core.log import say
from triptych.core.records import Answer, Json
from triptych.generate.running.replies import BATCHES
from triptych.generate.running.spend import Allowance
from triptych.infer.endpoint.chat_messages import guess_tokens, messages_of, most_tokens
from triptych.infer.endpoint.in_flight import wishes_of
from triptych.infer.endpoint.limits import Cost
from triptych.infer.endpoint.remote import RemoteResponder
from triptych.infer.endpoint.response import OVERRUN, Completion, Trouble, one_line, read_reply, read_status
from triptych.infer.responder import Cause, Failed, Query, Told

MOST_REQUESTS = 50_000
MOST_BYTES = 150_000_000
"""Most bytes of one file of requests; OpenAI takes 50,000 requests and 200 MB."""
MOST_OPEN = 100_000
"""Requests on their way at once, over all batches: each is held in memory until it has its reply."""
ATTEMPTS = 6
"""Times that a batch is asked for, where the endpoint does not say whether it was made."""
MARK = "triptych"
"""Key of a batch's metadata."""
ENDED = {"completed", "failed", "expired", "cancelled"}


@dataclass
class _Batch:
    """A batch on its way. Its state is what it is called, and the requests in it."""

    mark: str
    keys: list[str]
    id: str = ""


@dataclass
class _Open:
    """A request on its way."""

    query: Query
    guess: Cost
    most: Cost
    schema: bool


@dataclass
class _Filling:
    """The next batch."""

    lines: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    size_bytes: int = 0


class BatchResponder:
    """Asks in batches. Its state is the batches on their way, which is on disk too."""

    def __init__(
        self,
        inner: RemoteResponder,
        allowance: Allowance,
        *,
        folder: Path,
        teacher: str,
        poll_s: float,
        kept: Callable[[str], bool],
        keep: Callable[[Told], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Go on with the batches that are on their way.

        Args:
            inner: the endpoint and how it is asked.
            allowance: what may be spent.
            folder: of the run.
            teacher: its name in the recipe.
            poll_s: how often a batch is asked whether it has ended, in seconds.
            kept: whether the reply of a key is on disk.
            keep: puts there what nobody asks this time, as where the recipe has changed since: it is paid for.
            sleep: waits so many seconds.
        """
        self.inner = inner
        self._allowance, self._poll_s, self._sleep = allowance, poll_s, sleep
        self._kept, self._keep = kept, keep
        self._folder = folder / BATCHES
        self._ledger = self._folder / f"{teacher}.jsonl"
        self._client = openai.OpenAI(api_key=inner.key, base_url=inner.address.url, max_retries=5)
        self._batches = self._resumed()
        self._open: dict[str, _Open] = {}
        self._schema_taken = self._schema_refused = False

    def answer_each(self, queries: Iterable[Query | None]) -> Iterator[Told]:
        """Yield what each query got: all are handed in, as far as the budget goes; then batches are waited for."""
        filling = _Filling()
        handed = {key for batch in self._batches for key in batch.keys}
        for query in queries:
            if query is None:
                continue
            try:
                messages = messages_of(query.question, self.inner.settings)
            except DataError as error:
                yield Told(Failed(query.question.id, str(error)))
                continue
            key = query.question.id
            guess = Cost(guess_tokens(messages), query.max_tokens)
            most = Cost(most_tokens(messages, query.schema), query.max_tokens)
            schema = query.schema is not None and not self.inner.plain
            why = self._allowance.set_aside(guess, most=most, name=key)
            if key in handed:  # in an earlier start; paid for in any case
                self._open[key] = _Open(query, guess, most, schema)
                continue
            if why and (filling.lines or self._open):
                self._hand_in(filling)
                filling = _Filling()
                yield from self._wait()
                why = self._allowance.set_aside(guess, most=most, name=key)
            if why:
                yield Told(Failed(key, why, "budget"))
                continue
            self._open[key] = _Open(query, guess, most, schema)
            self._add(filling, key, messages)
            if len(filling.lines) >= MOST_REQUESTS or filling.size_bytes >= MOST_BYTES:
                self._hand_in(filling)
                filling = _Filling()
            if len(self._open) >= MOST_OPEN:
                self._hand_in(filling)
                filling = _Filling()
                yield from self._wait()
        self._hand_in(filling)
        yield from self._wait()

    def _add(self, filling: _Filling, key: str, messages: list[dict[str, Json]]) -> None:
        asked = self._open[key]
        schema = asked.query.schema if asked.schema else None
        body: dict[str, Json] = {"model": self.inner.address.model, "messages": [*messages]}
        body |= wishes_of(asked.query, self.inner, schema=schema)
        line = json.dumps({"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body})
        filling.lines.append(line)
        filling.keys.append(key)
        filling.size_bytes += len(line) + 1

    def _hand_in(self, filling: _Filling) -> None:
        if not filling.lines:
            return
        batch = _Batch(uuid.uuid4().hex, filling.keys)
        self._note({"mark": batch.mark, "keys": [*batch.keys]})
        content = "".join(f"{line}\n" for line in filling.lines).encode()
        try:
            file = self._client.files.create(file=(f"{batch.mark}.jsonl", content), purpose="batch")
            batch.id = self._made(batch.mark, file.id)
        except openai.OpenAIError as error:
            what = "nothing is handed in twice"
            if isinstance(error, openai.APIStatusError) and not _may_pass(error):
                why = f"it takes no batch ({one_line(error)}). Leave batch out of the teacher's settings."
                raise RunError(f"{self.inner.address}: {why}") from None
            raise RunError(f"{self.inner.address}: {one_line(error)}. Run again: {what}.") from None
        self._note({"mark": batch.mark, "id": batch.id})
        self._batches.append(batch)
        say(f"{self.inner.address}: batch {batch.id} with {len(filling.lines):,} requests is handed in")

    def _made(self, mark: str, file: str) -> str:
        """Return the id of a batch that is made now, and once: where the answer is lost, it is first looked for."""
        asked_once = self._client.with_options(max_retries=0)  # the client itself would ask again without a look
        attempt = 0
        while True:
            attempt += 1
            try:
                made = asked_once.batches.create(
                    input_file_id=file,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={MARK: mark},
                )
            except openai.APIError as error:
                if attempt == ATTEMPTS or not _may_pass(error):
                    raise
            else:
                return made.id
            self._sleep(min(self._poll_s, 2.0**attempt))
            if found := self._marked({mark}):
                return found[mark]

    def _marked(self, marks: set[str]) -> dict[str, str]:
        """Return the batches that bear a mark, as far as there are any: mark -> id."""
        found: dict[str, str] = {}
        for made in self._client.batches.list(limit=100):
            mark = (made.metadata or {}).get(MARK, "")
            if mark in marks:
                found[mark] = made.id
            if len(found) == len(marks):
                break
        return found

    def _wait(self) -> Iterator[Told]:
        """Yield what all batches on their way bring; of what was refused for its schema, hand in another one."""
        while self._open and self._batches:
            batch = self._batches[0]
            state = self._poll(batch)
            if state.status not in ENDED:
                counts = state.request_counts
                done = f", {counts.completed:,} of {counts.total:,} done" if counts is not None else ""
                say(f"batch {batch.id}: {state.status}{done}")
                self._sleep(self._poll_s)
                continue
            again = _Filling()
            asked = self._open.keys() & set(batch.keys)
            for name in (state.output_file_id, state.error_file_id):
                for line in self._download(name) if name else ():
                    yield from self._read(line, again)
            problem = state.errors.data[0].message if state.errors is not None and state.errors.data else ""
            self._batches.pop(0)
            for key in batch.keys:
                if key in self._open and key not in again.keys:
                    cause: Cause = "endpoint" if state.status == "failed" else "trouble"
                    why = f"{self.inner.address}: batch {batch.id} {state.status}, without this one. {problem}".rstrip()
                    yield self._lost(key, Failed(key, why, cause))
            # Replies to what nobody has asked this time may be asked for by the next start.
            if state.status == "failed" or all(key in asked or self._kept(key) for key in batch.keys):
                self._note({"mark": batch.mark, "done": True})
            self._hand_in(again)

    def _read(self, line: str, again: _Filling) -> Iterator[Told]:
        """Yield what one line of a batch's files says; note what is to be asked without its schema."""
        try:
            record = json.loads(line)
            key = record["custom_id"]
        except (ValueError, KeyError, TypeError):
            where = f"{self.inner.address}: a batch's file holds a line that is no reply"
            raise RunError(f"{where}: {line[:60]!r}. Run again: nothing is handed in twice.") from None
        asked = self._open.get(key)
        response = record.get("response") or {}
        status = response.get("status_code")
        if asked is None:
            if status == 200 and not self._kept(key):
                self._take_in(key, read_reply(json.dumps(response.get("body"))))
            return
        if status == 200:
            said = read_reply(json.dumps(response.get("body")))
            told = said.cost is not None
            spent = said.cost or (asked.guess if isinstance(said, Completion) or said.paid else None)
            if isinstance(said, Completion):
                self._schema_taken |= asked.schema
                if asked.query.schema is not None and not asked.schema:
                    self.inner.plain |= self._schema_refused or not self._schema_taken
                del self._open[key]
                cost = self._allowance.book(asked.guess, spent, most=asked.most, name=key, told=told, replied=True)
                known = said.cost or Cost(0, 0)
                answer = Answer(key, said.text, tokens_in=known.tokens_in, tokens_out=known.tokens_out, cut=said.cut)
                yield Told(answer, cost.tokens_in, cost.tokens_out)
                return
            failed = Failed(key, f"{self.inner.address}: {said.reason}", _cause(said))
            yield self._lost(key, failed, spent=spent, told=told)
            return
        error = record.get("error") or (response.get("body") or {}).get("error") or {}
        problem = str(error.get("message") or "no reply")
        trouble = read_status(status or 500, problem, names=[error.get(name) for name in ("code", "type", "param")])
        if trouble.bad_request and asked.schema:
            asked.schema = False
            self._schema_refused |= trouble.of_schema
            self._add(again, key, messages_of(asked.query.question, self.inner.settings))
            return
        failed = Failed(key, f"{self.inner.address}: status {status}: {problem}", _cause(trouble))
        yield self._lost(key, failed, spent=asked.guess if trouble.paid else None, told=not trouble.paid)

    def _take_in(self, key: str, said: Completion | Trouble) -> None:
        """Keep and book a reply that nobody waits for."""
        if isinstance(said, Completion):
            cost = said.cost or Cost(0, 0)
            self._allowance.book(cost, cost, name=key, replied=True)
            answer = Answer(key, said.text, tokens_in=cost.tokens_in, tokens_out=cost.tokens_out, cut=said.cut)
            self._keep(Told(answer, cost.tokens_in, cost.tokens_out))

    def _lost(self, key: str, failed: Failed, *, spent: Cost | None = None, told: bool = True) -> Told:
        asked = self._open.pop(key)
        self._allowance.book(asked.guess, spent, most=asked.most, name=key, told=told)
        return Told(failed)

    def _poll(self, batch: _Batch) -> Any:
        try:
            return self._client.batches.retrieve(batch.id)
        except openai.OpenAIError as error:
            raise RunError(
                f"{self.inner.address}: batch {batch.id}: {one_line(error)}. Run again: nothing is handed in twice."
            ) from None

    def _download(self, name: str) -> list[str]:
        try:
            text = self._client.files.content(name).text
        except openai.OpenAIError as error:
            raise RunError(f"{self.inner.address}: file {name}: {one_line(error)}. Run again: it is fetched.") from None
        return [line for line in text.split("\n") if line.strip()]  # no other line end: a reply may hold one

    def _note(self, record: Mapping[str, Json]) -> None:
        append_json_line(self._ledger, record)

    def _resumed(self) -> list[_Batch]:
        """Return the batches that are on their way."""
        found: dict[str, _Batch] = {}
        for record in read_json_lines(self._ledger) if self._ledger.exists() else ():
            mark = str(record["mark"])
            if isinstance(keys := record.get("keys"), list):
                found[mark] = _Batch(mark, [str(key) for key in keys])
            elif record.get("id") and mark in found:
                found[mark].id = str(record["id"])
            else:
                found.pop(mark, None)
        nameless = {batch.mark: batch for batch in found.values() if not batch.id}
        if nameless:
            try:
                for mark, name in self._marked(set(nameless)).items():
                    nameless[mark].id = name
                    self._note({"mark": mark, "id": name})
            except openai.OpenAIError as error:
                raise RunError(f"{self.inner.address}: {one_line(error)}. Run again: batches are looked for.") from None
        for batch in nameless.values():
            if not batch.id:  # it never came so far
                self._note({"mark": batch.mark, "done": True})
        waiting = [batch for batch in found.values() if batch.id]
        for batch in waiting:
            say(f"{self.inner.address}: batch {batch.id} with {len(batch.keys):,} requests is waited for")
        return waiting


def _cause(said: Trouble) -> Cause:
    return "trouble" if said.again or said.for_all or said.maybe_for_all else "refused" if said.paid else "question"


def _may_pass(error: openai.APIError) -> bool:
    """Tell whether a request that made this error may have been done, or may be done another time."""
    return not isinstance(error, openai.APIStatusError) or error.status_code >= 500 or error.status_code in OVERRUN
