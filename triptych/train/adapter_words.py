"""What an adapter's folder says of words: the tokenizer it was learnt with, and another chat template than its base's.

Not its weights (``merging``). Where the tokenizer is the base's there is nothing to take. Tokens that were added are
the only way to the rows that were learnt for them, so they are taken with these or refused, and never left behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from triptych.core.errors import ModelError
from triptych.core.log import say
from triptych.data.template import Template, stop_id, template_names, template_of_jinja
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models.disk.folder import NOTE, read_note, template_in
from triptych.models.disk.llava_kind import words_folder
from triptych.models.disk.locate import locate
from triptych.models.disk.recognise import json_object, template_that_writes
from triptych.models.disk.tokenizer import open_tokenizer
from triptych.models.family import Model, open_model
from triptych.models.join import teach_tokenizer
from triptych.models.parts import check_tokenizer, clear_errors
from triptych.train.recipe import ModelPlan
from triptych.train.start import laid_over

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""Without one of these a folder has no tokenizer."""
SAY_BASE = "Was it learnt on another model? Say which with --base."
TOLD = 5
"""Tokens that a message names."""


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """What an adapter's folder says of words."""

    tokenizer: PreTrainedTokenizerBase | None
    """None: it has none."""
    template: str | None
    """Name of a template; None: the base's own."""
    added: Sequence[str] = ()
    """Tokens that the base had not, once they are taken."""


def words_in(folder: Path, base: str) -> Words:
    """Return what an adapter's folder says of words.

    Raises:
        NotFoundError: the base is not there.
        ModelError: the tokenizer cannot be opened, or nothing says which template is its own.
    """
    template = read_note(folder).template
    if not any((folder / name).is_file() for name in VOCABULARIES):
        return Words(None, template)
    with clear_errors(folder, "the tokenizer of an adapter"):
        tokenizer = open_tokenizer(folder)
        check_tokenizer(tokenizer, folder)
    if template is None and tokenizer.chat_template:
        template = _template_of(folder, tokenizer.chat_template, base=locate(base))
    return Words(tokenizer, template)


def open_base(base: str, words: Words) -> Model:
    """Return the base, with the template of an adapter's folder.

    Raises:
        NotFoundError: the base is not there, or there is no such template.
        ModelError: no family opens it.
    """
    return open_model(base if words.template is None else laid_over(ModelPlan(open=base, template=words.template)))


def take_words(model: Model, words: Words, *, folder: Path, base: str) -> Words:
    """Give the base the tokens of an adapter's folder; return the words, and which of them were added.

    Raises:
        ModelError: tokens have other ids there, or its template's end is no token.
    """
    added = _add_tokens(model, words.tokenizer, folder=folder, base=base)
    if added:
        say(f"{folder}: tokens that {base} has not: {_listed(added)}")
    if words.template is not None:
        if model.tokenizer.convert_ids_to_tokens(model.image_token_id) == IMAGE_MARK:
            teach_tokenizer(model.tokenizer, model.template)
        if model.network.generation_config is not None:
            model.network.generation_config.eos_token_id = stop_id(model.template, model.tokenizer)
        say(f"{folder}: its template is {model.template.name}")
    return replace(words, added=added)


def fit_tables(model: Model, words: Words, *, weights: Mapping[str, Tensor], folder: Path, base: str) -> None:
    """Give the tables of words as many rows as an adapter's have, where it holds them whole and says what they are of.

    Args:
        model: the base, its tokenizer already the adapter's.
        words: of the adapter's folder, as taken.
        weights: the adapter's, by today's names.
        folder: of the adapter.
        base: what it is called.

    Raises:
        ModelError: the sizes do not fit, or a token has no row.
    """
    own, brought = _tables(model.network), {}
    for name, weight in weights.items():
        module = re.sub(r"(\.base_layer)?\.weight$", "", name)
        at = next((each for each in own if module == each or module.endswith(f".{each}")), None)
        if at is not None and weight.shape != own[at]:
            brought[at] = tuple(weight.shape)
    before = min(shape[0] for shape in own.values())
    rows = _rows_of(brought, own, words, folder=folder, base=base) if brought else before
    ids = model.tokenizer.get_vocab()
    lost = [token for token, number in ids.items() if number >= rows and (number < before or token in words.added)]
    if lost:
        raise ModelError(
            f"{folder}: the table of words has {rows} rows, none for {_listed(sorted(lost, key=ids.__getitem__))}."
            " Learn it anew with `modules_to_save` of table and head, or take the files of its tokenizer away."
        )
    if brought:
        model.network.resize_token_embeddings(rows, mean_resizing=False)


def _template_of(folder: Path, jinja: str | dict[str, str], *, base: Path) -> str | None:
    """Return the name of the template that a chat template is; None: it is the base's."""
    spoken = words_folder(base)
    with clear_errors(spoken, "a tokenizer"):
        own = open_tokenizer(spoken).chat_template
    beside = [json_object(base / name).get("chat_template") for name in ("chat_template.json", "processor_config.json")]
    if jinja in (own, *beside):
        return None
    text = jinja if isinstance(jinja, str) else jinja.get("default", "")
    found = template_of_jinja(text) or _that_writes(text, folder, base=base)
    if found is None:
        raise ModelError(
            f"{folder}: its chat template is neither {base}'s nor one that is known. Take it away to keep the base's,"
            f' or name it: {{"template": NAME}} in {folder / NOTE}; there are: {", ".join(template_names())}.'
        )
    # Several are one chat template, and differ in what of it is learnt.
    return None if found.jinja == _jinja_of(base, own, spoken=spoken) else found.name


def _that_writes(jinja: str, folder: Path, *, base: Path) -> Template | None:
    with TemporaryDirectory() as work:  # what says how images, beginnings and ends are spelled, in one folder
        for file in (*folder.glob("*token*.json"), base / "config.json"):
            (Path(work) / file.name).symlink_to(file.absolute())
        return template_that_writes(jinja, Path(work))


def _jinja_of(base: Path, own: str | dict[str, str] | None, *, spoken: Path) -> str | None:
    """Return the base's template as a chat template; None: nothing says which it is."""
    try:
        return template_in(base, own, words=spoken).jinja
    except ModelError:
        return None


def _add_tokens(model: Model, tokenizer: PreTrainedTokenizerBase | None, *, folder: Path, base: str) -> Sequence[str]:
    """Give the model's tokenizer the tokens that another has besides, under the same ids, and return them."""
    own, theirs = model.tokenizer.get_vocab(), {} if tokenizer is None else tokenizer.get_vocab()
    new = dict(sorted((number, token) for token, number in theirs.items() if own.get(token) != number))
    if tokenizer is None or not new:
        return ()
    added, taken = tokenizer.added_tokens_decoder, set(own.values())
    strange = [token for number, token in new.items() if token in own or number in taken or number not in added]
    for number in new if not strange else ():
        model.tokenizer.add_tokens([added[number]], special_tokens=added[number].special)
    own = model.tokenizer.get_vocab()
    if strange := strange or [token for number, token in new.items() if own.get(token) != number]:
        raise ModelError(
            f"{folder}: its tokenizer is not that of {base} with tokens added: {_listed(strange)} "
            f"{'has' if len(strange) == 1 else 'have'} another place there. {SAY_BASE}"
        )
    return tuple(new.values())


def _tables(network: PreTrainedModel) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the table of words and of the head, by their names."""
    ends = [network.get_input_embeddings(), network.get_output_embeddings()]
    found = {name: each for name, each in network.named_modules() if any(each is end for end in ends)}
    return {name: tuple(each.get_parameter("weight").shape) for name, each in found.items()}


def _rows_of(
    brought: Mapping[str, tuple[int, ...]], own: Mapping[str, tuple[int, ...]], words: Words, *, folder: Path, base: str
) -> int:
    """Return how many rows the tables are to have. Raises ModelError: that is not known."""
    name, shape = next(iter(brought.items()))
    alike = len({*brought.values()}) == 1 and shape[1:] == own[name][1:]
    if words.tokenizer is not None and brought.keys() == own.keys() and alike:
        return shape[0]
    there, here = ("x".join(map(str, each)) for each in (shape, own[name]))
    advice = SAY_BASE
    if shape[0] > own[name][0] and shape[1:] == own[name][1:]:
        advice = "Tokens were added before it was learnt. " + (
            "Put the tokenizer it was learnt with beside it (tokenizer.json, tokenizer_config.json), or say with"
            " --base which model has them."
            if words.tokenizer is None
            else f"It holds no rows of {', '.join(own.keys() - brought.keys())} for them: learn it anew with"
            " `modules_to_save` of both."
        )
    raise ModelError(f"{folder}: {name} is {there} in the adapter and {here} in {base}. {advice}")


def _listed(tokens: Sequence[str]) -> str:
    more = f" and {len(tokens) - TOLD} more" if len(tokens) > TOLD else ""
    return ", ".join(map(repr, tokens[:TOLD])) + more
