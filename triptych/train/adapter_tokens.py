"""The tokens that an adapter was learnt with besides its base's: taken with their rows, or refused by name.

Not its tokenizer's files nor its chat template (``adapter_words``). A base of LLaVA's own layout has no image token
until opening gives it one, under its tokenizer's next number, which may be another token's in the adapter's: then the
image token moves behind what was learnt.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from triptych.core.errors import ModelError
from triptych.core.log import say
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models.disk.llava_checkpoint import config_of, open_network
from triptych.models.disk.llava_kind import is_original, words_folder
from triptych.models.disk.locate import ADAPTER, locate
from triptych.models.disk.recognise import json_object
from triptych.models.disk.tokenizer import FILE, open_tokenizer
from triptych.models.family import Model
from triptych.models.join import teach_tokenizer
from triptych.models.parts import quiet

SAY_BASE = "Was it learnt on another model? Say which with --base."
TOLD = 5
"""Tokens that a message names."""
IDLE = ("pad_token", "bos_token", "eos_token", "unk_token", "cls_token", "sep_token", "mask_token")
"""Tokens by the names that a tokenizer's settings give them, which no text of a conversation needs."""


@dataclass(frozen=True, slots=True, eq=False)
class Filed:
    """A base that opening gave its image token, as its files have it."""

    tokenizer: PreTrainedTokenizerBase
    """Without image token."""
    rows: int
    """Of its tables of words."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the table of words and of the head."""

    before: int
    """As many as the opened base has."""
    after: int
    """As many as tokens may have."""
    whole: bool
    """The adapter holds all of them, so that there cannot be more."""
    alone: Collection[int] = ()
    """Those that it holds by themselves, of both."""


def take_tokens(
    model: Model, tokenizer: PreTrainedTokenizerBase | None, *, weights: Mapping[str, Tensor], folder: Path, base: str
) -> None:
    """Give the base the tokens of an adapter's tokenizer, and its tables of words as many rows as the adapter's have.

    What has no row and needs none is left out, and said.

    Args:
        model: the base, with the template of the adapter's folder.
        tokenizer: the adapter's; None: it has none, and tables are not grown.
        weights: the adapter's, by today's names. Tables are grown where it holds them whole, or the rows of new tokens.
        folder: of the adapter.
        base: what it is called.

    Raises:
        ModelError: tokens have other ids there, the sizes do not fit, or a token has no row that it needs.
    """
    rows = _rows(model.network, weights, has_words=tokenizer is not None, folder=folder, base=base)
    new = _besides(model.tokenizer, tokenizer)
    filed = _as_filed(base) if new else None
    if filed is not None:
        new = _besides(filed.tokenizer, tokenizer)
        rows = rows if rows.whole else replace(rows, after=filed.rows)
    named = _idle_tokens(tokenizer, folder)
    idle = {number for number, token in new.items() if token in named and number not in rows.alone}
    _leave_out(new, {each for each in idle if each >= rows.after}, "there is no row of them and none is needed", folder)
    place = model.image_token_id
    if filed is not None:
        place = _place_of_mark(place, new, idle=idle)
        _leave_out(new, idle & {place} & new.keys(), "its place is the image token's", folder)
        new.pop(place, None)
    rowless = {number for number in new if number >= rows.after}
    if rowless and rowless <= set(rows.alone):
        rows = replace(rows, after=max(rowless) + 1)
    moved = filed is not None and place != model.image_token_id
    own = filed.tokenizer if filed is not None and moved else model.tokenizer
    _check_rows({**own.get_vocab(), **({IMAGE_MARK: place} if moved else {})}, new, rows, folder=folder)
    _add_tokens(own, new, tokenizer, mark=place if moved else None, folder=folder, base=base)
    if new:
        say(f"{folder}: tokens that {base} has not: {_listed(tuple(new.values()))}")
    size = rows.after if rows.whole else max(rows.before, rows.after, place + 1 if moved else 0)
    if size != rows.before:
        model.network.resize_token_embeddings(size, mean_resizing=False)
    if moved:
        teach_tokenizer(own, model.template)
        if not rows.whole:
            _settle_rows(model.network, model.image_token_id, place, base=base)
        model.tokenizer = own
        model.image_token_id = model.network.config.image_token_index = place


def _rows(network: PreTrainedModel, weights: Mapping[str, Tensor], *, has_words: bool, folder: Path, base: str) -> Rows:
    """Return what rows the tables have and are to have. Raises ModelError: the adapter's sizes do not fit."""
    own, held = _tables(network), dict[str, tuple[int, ...]]()
    for name, weight in weights.items():
        module = re.sub(r"(\.base_layer)?\.weight$", "", name)
        at = next((each for each in own if module == each or module.endswith(f".{each}")), None)
        if at is not None:
            held[at] = tuple(weight.shape)
    before = min(shape[0] for shape in own.values())
    if held and _are_one(network, folder):
        own = {name: own[name] for name in held}
    brought = {at: shape for at, shape in held.items() if shape != own[at]}
    if not brought:
        return Rows(before, before, whole=held.keys() == own.keys(), alone=_learnt_alone(network, folder))
    name, shape = next(iter(brought.items()))
    alike = len({*brought.values()}) == 1 and shape[1:] == own[name][1:]
    if has_words and brought.keys() == own.keys() and alike:
        return Rows(before, shape[0], whole=True)
    there, here = ("x".join(map(str, each)) for each in (shape, own[name]))
    advice, lacking = SAY_BASE, own.keys() - brought.keys()
    if not lacking and len({rows for rows, *_ in brought.values()}) > 1:
        advice = "Its table and head have not as many rows: bring it here once more, or learn it anew."
    elif shape[0] > own[name][0] and shape[1:] == own[name][1:]:
        advice = "Tokens were added before it was learnt. " + (
            f"It holds no rows of {', '.join(lacking)} for them: learn it anew with `modules_to_save` of both."
            if has_words
            else "Put the tokenizer it was learnt with beside it (tokenizer.json, tokenizer_config.json), or say with"
            " --base which model has them."
        )
    raise ModelError(f"{folder}: {name} is {there} in the adapter and {here} in {base}. {advice}")


def _tables(network: PreTrainedModel) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the table of words and of the head, by their names."""
    ends = [network.get_input_embeddings(), network.get_output_embeddings()]
    found = {name: each for name, each in network.named_modules() if any(each is end for end in ends)}
    return {name: tuple(each.get_parameter("weight").shape) for name, each in found.items()}


def _are_one(network: PreTrainedModel, folder: Path) -> bool:
    """Return whether table and head were one parameter where the adapter was learnt, so that either is both.

    One that peft trained whole is a copy: the other one stays as it was, with rows that are saved nowhere.
    """
    said = json_object(folder / ADAPTER)
    named = said.get("modules_to_save")
    named = [str(each) for each in named] if isinstance(named, list) else []
    copied = [name for name in _tables(network) if any(name.endswith(each) for each in named)]
    return _tied(network) and (not copied or bool(said.get("ensure_weight_tying")))


def _tied(network: PreTrainedModel) -> bool:
    head = network.get_output_embeddings()
    return head is not None and head.weight is network.get_input_embeddings().weight


def _learnt_alone(network: PreTrainedModel, folder: Path) -> set[int]:
    """Return the rows of both table and head that the adapter holds by themselves (``trainable_token_indices``)."""
    said = json_object(folder / ADAPTER).get("trainable_token_indices")
    words = next(name for name, each in network.named_modules() if each is network.get_input_embeddings())
    of_table: dict[str, Any] = said if isinstance(said, dict) else {words: said or []}
    found = [
        {int(row) for key, ids in of_table.items() if each.endswith(key) for row in ids} for each in _tables(network)
    ]
    return set.union(*found) if _tied(network) else set.intersection(*found)


def _besides(own: PreTrainedTokenizerBase, theirs: PreTrainedTokenizerBase | None) -> dict[int, str]:
    """Return the tokens that another tokenizer has besides, by their numbers."""
    known, found = own.get_vocab(), {} if theirs is None else theirs.get_vocab()
    return dict(sorted((number, token) for token, number in found.items() if known.get(token) != number))


def _as_filed(base: str) -> Filed | None:
    """Return what the files of a base say of its tokens; None: opening gives it no image token."""
    folder = locate(base)
    if not is_original(folder):
        return None
    with quiet():
        config = config_of(folder)
        tokenizer = open_tokenizer(words_folder(folder), config=config)
    if IMAGE_MARK in tokenizer.get_added_vocab():
        return None
    return Filed(tokenizer, int(config.get_text_config().vocab_size))


def _idle_tokens(tokenizer: PreTrainedTokenizerBase | None, folder: Path) -> set[str]:
    """Return the tokens that need no row: the one that fills up, and those that its settings name and no text has."""
    if tokenizer is None:
        return set()
    filed = json_object(folder / FILE).get("added_tokens")
    known = {each["content"] for each in filed} if isinstance(filed, list) else tokenizer.get_vocab().keys()
    named = {name: str(getattr(tokenizer, name)) for name in IDLE if getattr(tokenizer, name) is not None}
    return {token for name, token in named.items() if name == IDLE[0] or token not in known}


def _leave_out(new: dict[int, str], numbers: Collection[int], why: str, folder: Path) -> None:
    """Take tokens away from those that are new, and say so."""
    if left := [new.pop(number) for number in sorted(numbers)]:
        say(f"{folder}: left out, for {why}: {_listed(left)}")


def _place_of_mark(first: int, new: Mapping[int, str], *, idle: Collection[int]) -> int:
    """Return the image token's number: the adapter's own, or the first that no token needs."""
    numbers = {token: number for number, token in new.items()}
    return numbers.get(IMAGE_MARK) or next(each for each in count(first) if each not in new or each in idle)


def _check_rows(own: Mapping[str, int], new: Mapping[int, str], rows: Rows, *, folder: Path) -> None:
    """Raise ModelError where a token has no row."""
    kept = {number: token for token, number in own.items() if number < rows.before or token == IMAGE_MARK}
    tokens = {**(kept if rows.whole else {}), **new}
    lost = [tokens[number] for number in sorted(tokens) if number >= rows.after]
    if not lost:
        return
    if rows.whole:
        raise ModelError(
            f"{folder}: the adapter's tables of words have {rows.after} rows, none for {_listed(lost)}. Learn it anew"
            f" on tables of {max(tokens) + 1} rows or more."
        )
    alone = json_object(folder / ADAPTER).get("trainable_token_indices")
    raise ModelError(
        f"{folder}: the table of words has {rows.after} rows, none for {_listed(lost)}. Learn it anew with "
        + (
            "`trainable_token_indices` of all of them, in table and head."
            if alone
            else "`modules_to_save` of table and head, or take the files of its tokenizer away."
        )
    )


def _add_tokens(
    own: PreTrainedTokenizerBase,
    new: Mapping[int, str],
    theirs: PreTrainedTokenizerBase | None,
    *,
    mark: int | None,
    folder: Path,
    base: str,
) -> None:
    """Give a tokenizer tokens of another under their numbers, and the image token under ``mark`` unless that is None.

    Raises:
        ModelError: a number is another token's.
    """
    known, added = own.get_vocab(), {} if theirs is None else dict(theirs.added_tokens_decoder)
    taken, names = set(known.values()), dict(new)
    strange = [token for number, token in new.items() if token in known or number in taken or number not in added]
    if mark is not None:
        names[mark], added[mark] = IMAGE_MARK, AddedToken(IMAGE_MARK, special=True, normalized=False)
    for number in sorted(names) if not strange else ():
        own.add_tokens([added[number]], special_tokens=added[number].special)
    known = own.get_vocab()
    if strange := strange or [token for number, token in names.items() if known.get(token) != number]:
        raise ModelError(
            f"{folder}: its tokenizer is not that of {base} with tokens added: {_listed(strange)} "
            f"{'has' if len(strange) == 1 else 'have'} another place there. {SAY_BASE}"
        )


def _settle_rows(network: PreTrainedModel, first: int, place: int, *, base: str) -> None:
    """Give the image token's row what opening gave its ``first`` one, the mean of all, and that one what is filed."""
    with quiet():
        filed = open_network(locate(base))
    ends = [(each.get_input_embeddings(), each.get_output_embeddings()) for each in (network, filed)]
    with torch.no_grad():
        for own, there in zip(*ends, strict=True):
            own.weight[place] = own.weight[:first].mean(dim=0)
            own.weight[first : first + 1] = there.weight[first : first + 1]


def _listed(tokens: Sequence[str]) -> str:
    more = f" and {len(tokens) - TOLD} more" if len(tokens) > TOLD else ""
    return ", ".join(map(repr, tokens[:TOLD])) + more
