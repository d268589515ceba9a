"""A language model alone, without eyes, as a responder: replies to words, greedy or drawn, in batches.

Not a model of images (``local``): a question that shows one has failed. Prompts are the tokenizer's own chat template.
A drawn reply follows from the question, the seed and the number of the sample, whatever else is in its batch: each row
has noise of its own (the Gumbel-max trick: the likeliest token after noise is a draw).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

from triptych.core.errors import DataError, ModelError
from triptych.core.records import Answer, Example, Text
from triptych.infer.decoding.kv_budget import BATCH, positions_that_fit
from triptych.infer.responder import Failed, Query, Told, as_question
from triptych.models.attention.lengths import longest_of
from triptych.models.digest import add_weights
from triptych.models.disk.tokenizer import open_tokenizer
from triptych.models.memory.placement import Precision, device_of, precision_on
from triptych.models.parts import check_tokenizer, clear_errors, quiet

WINDOW = 64
"""Questions that are looked at together, to batch those of like length."""


class WordsResponder:
    """Answers with a causal language model. Its state is the model."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        batch_tokens: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        device: str = "auto",
        precision: Precision = "auto",
    ) -> None:
        """Open the model.

        Args:
            folder: of a causal language model with a chat template.
            name: what reports call it.
            batch_tokens: most positions of a batch, padding and replies included; None: as many as a GPU holds, 4,096
                on a CPU.
            temperature: above 0, replies are drawn; 0: the likeliest.
            top_p: drawn only of the likeliest tokens that together have this probability.
            seed: of the draws.
            device: where it computes, as torch calls it; auto: a GPU where there is one.
            precision: auto: bfloat16 on a GPU, float32 on a CPU.

        Raises:
            ConfigError: there is no such device.
            ModelError: its tokenizer has no chat template, or cannot be opened.
        """
        self.name = name
        with clear_errors(folder, "a tokenizer"):
            self.tokenizer = open_tokenizer(folder)
            check_tokenizer(self.tokenizer, folder)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.chat_template is None:
            raise ModelError(f"{name}: its tokenizer has no chat template, so it takes no questions.")
        where = device_of(device)
        kind = precision_on(where, precision)
        with quiet():
            self.network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=kind)
        nn.Module.to(self.network, where)
        self.network.train(False)
        self.network.requires_grad_(False)
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._batch_tokens = batch_tokens or positions_that_fit(self, otherwise=BATCH)
        self._temperature, self._top_p, self._seed = temperature, top_p, seed
        self._longest = longest_of(self.network.config)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of every weight, the template and how replies are drawn: 16 hexadecimal digits."""
        drawn = f"{self._temperature} {self._top_p} {self._seed}" if self._temperature else "greedy"
        digest = hashlib.sha256(f"{self.tokenizer.chat_template} {drawn}".encode())
        add_weights(digest, self.network.state_dict())
        return digest.hexdigest()[:16]

    @property
    def draws(self) -> bool:
        """Whether another sample may be another reply."""
        return self._temperature > 0

    def answer(self, questions: Iterable[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        """Yield the answers, batch by batch."""
        for told in self.answer_each(Query(question, max_tokens) for question in questions):
            yield told.said

    def answer_each(self, queries: Iterable[Query | None]) -> Iterator[Told]:
        """Yield what each query got; those of a window in batches of like length."""
        window: list[tuple[Query, list[int]]] = []
        for query in queries:
            if query is None:
                continue
            try:
                window.append((query, self._prompt(query)))
            except DataError as error:
                yield Told(Failed(query.question.id, str(error)))
            if len(window) == WINDOW:
                yield from self._answer_window(window)
                window = []
        yield from self._answer_window(window)

    def _answer_window(self, window: list[tuple[Query, list[int]]]) -> Iterator[Told]:
        batch: list[tuple[Query, list[int]]] = []
        for query, ids in sorted(window, key=lambda pair: (len(pair[1]), pair[0].max_tokens)):
            reply = max([query.max_tokens, *(other.max_tokens for other, _ in batch)])
            if batch and (len(batch) + 1) * (len(ids) + reply) > self._batch_tokens:
                yield from self._answer_batch(batch)
                batch = []
            batch.append((query, ids))
        if batch:
            yield from self._answer_batch(batch)

    def _answer_batch(self, batch: list[tuple[Query, list[int]]]) -> Iterator[Told]:
        padded = self.tokenizer.pad({"input_ids": [ids for _, ids in batch]}, return_tensors="pt")
        padded = padded.to(self.network.device)
        drawing: list[Any] = []
        if self.draws:
            drawing = [TemperatureLogitsWarper(self._temperature), TopPLogitsWarper(self._top_p)]
            drawing.append(_Noise([self._generator(query, ids) for query, ids in batch]))
        with torch.inference_mode():
            spoken = self.network.generate(
                **padded,
                max_new_tokens=max(query.max_tokens for query, _ in batch),
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self.tokenizer.pad_token_id,
                logits_processor=LogitsProcessorList(drawing),
            )
        for row, (query, ids) in zip(spoken[:, padded["input_ids"].shape[1] :].tolist(), batch, strict=True):
            said = row[: query.max_tokens]
            ends = [at for at, token in enumerate(said) if token in self._stops]
            said = said[: ends[0]] if ends else said
            text = str(self.tokenizer.decode(said, skip_special_tokens=True)).strip()
            answer = Answer(query.question.id, text, tokens_in=len(ids), tokens_out=len(said))
            yield Told(answer, len(ids), len(said))

    @cached_property
    def _stops(self) -> set[int]:
        said = self.network.generation_config.eos_token_id
        stops = said if isinstance(said, list) else [said]
        return {int(stop) for stop in (*stops, self.tokenizer.eos_token_id) if stop is not None}

    def _prompt(self, query: Query) -> list[int]:
        question = as_question(query.question)
        turns = [turn for shown in question.demonstrations for turn in shown.turns]
        system = [turn for turn in question.turns[:1] if turn.role == "system"]
        messages = []
        for turn in (*system, *turns, *question.turns[len(system) :]):
            if not all(isinstance(part, Text) for part in turn.parts):
                raise DataError(f"{question.origin or question.id}: {self.name} sees no images. Ask a model that does.")
            words = "".join(part.text for part in turn.parts if isinstance(part, Text))
            messages.append({"role": turn.role, "content": words})
        ids = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        if len(ids) + query.max_tokens > self._longest:
            raise DataError(
                f"{question.origin or question.id}: {len(ids)} tokens and a reply of {query.max_tokens} are more than"
                f" the {self._longest} of {self.name}. Ask with fewer words, or lower max_tokens."
            )
        return list(ids)

    def _generator(self, query: Query, ids: list[int]) -> torch.Generator:
        said = f"{self._seed + query.sample} " + " ".join(map(str, ids))
        number = int.from_bytes(hashlib.sha256(said.encode()).digest()[:7], "big")
        return torch.Generator().manual_seed(number)


class _Noise(LogitsProcessor):
    """Adds each row's own noise to its logits, so that the likeliest token is a draw."""

    def __init__(self, generators: list[torch.Generator]) -> None:
        self._generators = generators

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return the logits with noise."""
        drawn = torch.stack([torch.rand(scores.shape[-1], generator=each) for each in self._generators])
        uniform = drawn.to(scores.device).clamp(1e-20, 1 - 1e-7)
        return scores.float() - torch.log(-torch.log(uniform))  # type: ignore[return-value]
