"""What an adapter's folder says of words: the tokenizer it was learnt with, and another chat template than its base's.

Not its weights (``merging``). Where the tokenizer is the base's there is nothing to take. Tokens that were added are
the only way to the rows that were learnt for them, so they are taken with these or refused, and never left behind; but
for those that have no row and need none: a token that fills up, and one that the tokenizer's settings alone name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from triptych.core.errors import ModelError
from triptych.core.log import say
from triptych.data.template import Template, stop_id, template_names, template_of_jinja
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models.disk.folder import NOTE, read_note, template_in
from triptych.models.disk.llava_kind import words_folder
from triptych.models.disk.locate import ADAPTER, locate
from triptych.models.disk.recognise import json_object, special_tokens, template_that_writes, written
from triptych.models.disk.tokenizer import FILE, SETTINGS, open_tokenizer
from triptych.models.family import Model, open_model
from triptych.models.join import teach_tokenizer
from triptych.models.parts import OPENING_ERRORS, check_tokenizer, clear_errors
from triptych.train.recipe import ModelPlan
from triptych.train.start import laid_over

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""Without one of these a folder has no tokenizer."""
SAY_BASE = "Was it learnt on another model? Say which with --base."
TOLD = 5
"""Tokens that a message names."""
_TEXT_ALONE = """
{%- set turns = namespace(all=[]) -%}
{%- for message in messages -%}
{%- set text = message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join -%}
{%- set turns.all = turns.all + [{'role': message.role, 'content': CONTENT}] -%}
{%- endfor -%}
{%- set messages = turns.all -%}
"""
"""Before a chat template: gives it the same turns without their images. CONTENT: what becomes of each text."""
_AS_TEXT = _TEXT_ALONE.replace("CONTENT", "text")
_AS_PARTS = _TEXT_ALONE.replace("CONTENT", "[{'type': 'text', 'text': text}]")


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """What an adapter's folder says of words."""

    tokenizer: PreTrainedTokenizerBase | None
    """None: it has none."""
    template: str | None
    """Name of a template; None: the base's own."""


def words_in(folder: Path, base: str) -> Words:
    """Return what an adapter's folder says of words.

    Raises:
        NotFoundError: the base is not there.
        ModelError: the tokenizer cannot be opened, or nothing says which template is its own.
    """
    template = read_note(folder).template
    if not any((folder / name).is_file() for name in VOCABULARIES):
        return Words(None, template)
    place = locate(base)
    tokenizer = _tokenizer_in(folder, base=place)
    if tokenizer is None:
        say(f"{folder}: its tokenizer is code of its own, which is not run: {base}'s is taken, with its chat template")
        return Words(None, template)
    if template is None and tokenizer.chat_template:
        template = _template_of(folder, tokenizer.chat_template, base=place)
    return Words(tokenizer, template)


def open_base(base: str, words: Words) -> Model:
    """Return the base, with the template of an adapter's folder.

    Raises:
        NotFoundError: the base is not there, or there is no such template.
        ModelError: no family opens it.
    """
    return open_model(base if words.template is None else laid_over(ModelPlan(open=base, template=words.template)))


def take_words(model: Model, words: Words, *, weights: Mapping[str, Tensor], folder: Path, base: str) -> None:
    """Give the base the tokens of an adapter's folder, and its tables of words as many rows as the adapter's have.

    Args:
        model: the base, with the template of the adapter's folder.
        words: of the adapter's folder. Tables are grown where it says what they are of.
        weights: the adapter's, by today's names. Tables are grown where it holds them whole.
        folder: of the adapter.
        base: what it is called.

    Raises:
        ModelError: tokens have other ids there, the sizes do not fit, a token has no row that it needs, or the end of
            its template is no token.
    """
    own, brought = _tables(model.network), {}
    for name, weight in weights.items():
        module = re.sub(r"(\.base_layer)?\.weight$", "", name)
        at = next((each for each in own if module == each or module.endswith(f".{each}")), None)
        if at is not None and weight.shape != own[at]:
            brought[at] = tuple(weight.shape)
    before = min(shape[0] for shape in own.values())
    if brought and _are_one(model.network, folder):
        own = {name: own[name] for name in brought}
    rows = _rows_of(brought, own, words, folder=folder, base=base) if brought else before
    if added := _add_tokens(model, words.tokenizer, rows=rows, before=before, folder=folder, base=base):
        say(f"{folder}: tokens that {base} has not: {_listed(added)}")
    if brought:
        model.network.resize_token_embeddings(rows, mean_resizing=False)
    if words.template is not None:
        if model.tokenizer.convert_ids_to_tokens(model.image_token_id) == IMAGE_MARK:
            teach_tokenizer(model.tokenizer, model.template)
        if model.network.generation_config is not None:
            model.network.generation_config.eos_token_id = stop_id(model.template, model.tokenizer)
        say(f"{folder}: its template is {model.template.name}")


def _tokenizer_in(folder: Path, *, base: Path) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer of an adapter's folder, opened as its base's is; None: it is code, which is not run.

    Raises:
        ModelError: it cannot be opened.
    """
    coded = "AutoTokenizer" in str(json_object(folder / SETTINGS).get("auto_map"))
    with clear_errors(folder, "the tokenizer of an adapter"):
        try:
            with _beside_config(folder, "*", base=base) as work:
                tokenizer = open_tokenizer(work, trust_remote_code=False)
        except OPENING_ERRORS:
            if not (folder / FILE).is_file():
                if coded:
                    return None
                tokenizer = open_tokenizer(folder, trust_remote_code=False)
            else:
                tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        check_tokenizer(tokenizer, folder)
    return tokenizer


@contextmanager
def _beside_config(folder: Path, pattern: str, *, base: Path) -> Iterator[Path]:
    """Give a folder of links to files of an adapter's, and to the config.json of its base where it has none."""
    with TemporaryDirectory() as work:
        for file in (*folder.glob(pattern), base / "config.json"):
            link = Path(work) / file.name
            if not link.is_symlink():
                link.symlink_to(file.absolute())
        yield Path(work)


def _template_of(folder: Path, jinja: str | dict[str, str], *, base: Path) -> str | None:
    """Return the name of the template that a chat template is; None: it is the base's."""
    spoken = words_folder(base)
    with clear_errors(spoken, "a tokenizer"):
        own = open_tokenizer(spoken).chat_template
    beside = [json_object(base / name).get("chat_template") for name in ("chat_template.json", "processor_config.json")]
    text, bases = _plain(jinja), [_plain(each) for each in (own, *beside)]
    if text in bases:
        return None
    found = template_of_jinja(text) or _that_writes(text, folder, base=base)
    known = _jinja_of(base, own, spoken=spoken)
    if found is None and _writes_as(text, [*bases, known or ""], folder=folder, spoken=spoken):
        return None
    if found is None:
        raise ModelError(
            f"{folder}: its chat template is neither {base}'s nor one that is known. Take it away to keep the base's,"
            f' or name it: {{"template": NAME}} in {folder / NOTE}; there are: {", ".join(template_names())}.'
        )
    # Several are one chat template, and differ in what of it is learnt.
    return None if found.jinja == known else found.name


def _plain(jinja: object) -> str:
    """Return a chat template, of several by name the one called ``default``, without ends of lines of another kind."""
    text = jinja.get("default") if isinstance(jinja, dict) else jinja
    return text.replace("\r\n", "\n").strip() if isinstance(text, str) else ""


def _writes_as(jinja: str, bases: Sequence[str], *, folder: Path, spoken: Path) -> bool:
    """Return whether a chat template writes what one of the base's does; one that knows no images, of texts alone."""
    theirs, marks = special_tokens(folder), special_tokens(spoken)
    whole, texts = written(jinja, theirs), None
    if whole is None:
        texts = written(_AS_TEXT + jinja, theirs)
    for each in filter(None, bases):
        if whole is not None and written(each, marks) == whole:
            return True
        if texts is not None and texts in (written(_AS_TEXT + each, marks), written(_AS_PARTS + each, marks)):
            return True
    return False


def _that_writes(jinja: str, folder: Path, *, base: Path) -> Template | None:
    # What says how images, beginnings and ends are spelled, in one folder.
    with _beside_config(folder, "*token*.json", base=base) as work:
        return template_that_writes(jinja, work)


def _jinja_of(base: Path, own: str | dict[str, str] | None, *, spoken: Path) -> str | None:
    """Return the base's template as a chat template; None: nothing says which it is."""
    try:
        return template_in(base, own, words=spoken).jinja
    except ModelError:
        return None


def _add_tokens(
    model: Model, tokenizer: PreTrainedTokenizerBase | None, *, rows: int, before: int, folder: Path, base: str
) -> Sequence[str]:
    """Give the model's tokenizer the tokens that another has besides, under the same ids, and return them.

    What has no row and needs none is left out, and said.
    """
    own, theirs = model.tokenizer.get_vocab(), {} if tokenizer is None else tokenizer.get_vocab()
    new = dict(sorted((number, token) for token, number in theirs.items() if own.get(token) != number))
    idle = _idle_tokens(tokenizer, folder)
    left = [new.pop(number) for number in list(new) if number >= rows and new[number] in idle]
    if left:
        say(f"{folder}: left out, for there is no row of them and none is needed: {_listed(left)}")
    added, taken = {} if tokenizer is None else tokenizer.added_tokens_decoder, set(own.values())
    strange = [token for number, token in new.items() if token in own or number in taken or number not in added]
    lost = {number: token for token, number in own.items() if rows <= number < before}
    lost |= {number: token for number, token in new.items() if number >= rows}
    if lost and not strange:
        raise ModelError(
            f"{folder}: the table of words has {rows} rows, none for {_listed([lost[each] for each in sorted(lost)])}."
            " Learn it anew with `modules_to_save` of table and head, or take the files of its tokenizer away."
        )
    for number in new if not strange else ():
        model.tokenizer.add_tokens([added[number]], special_tokens=added[number].special)
    own = model.tokenizer.get_vocab()
    if strange := strange or [token for number, token in new.items() if own.get(token) != number]:
        raise ModelError(
            f"{folder}: its tokenizer is not that of {base} with tokens added: {_listed(strange)} "
            f"{'has' if len(strange) == 1 else 'have'} another place there. {SAY_BASE}"
        )
    return tuple(new.values())


def _idle_tokens(tokenizer: PreTrainedTokenizerBase | None, folder: Path) -> set[str]:
    """Return the tokens that need no row: the one that fills up, and those that its settings name and no text has."""
    if tokenizer is None:
        return set()
    filed = json_object(folder / FILE).get("added_tokens")
    known: set[str] = set(tokenizer.get_added_vocab())
    idle = known - {each["content"] for each in filed} if isinstance(filed, list) else set()
    return idle if tokenizer.pad_token is None else idle | {str(tokenizer.pad_token)}


def _tables(network: PreTrainedModel) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the table of words and of the head, by their names."""
    ends = [network.get_input_embeddings(), network.get_output_embeddings()]
    found = {name: each for name, each in network.named_modules() if any(each is end for end in ends)}
    return {name: tuple(each.get_parameter("weight").shape) for name, each in found.items()}


def _are_one(network: PreTrainedModel, folder: Path) -> bool:
    """Return whether table and head were one parameter where the adapter was learnt, so that either is both.

    A layer that peft trained whole is a copy: the other one stays as it was, with rows that are saved nowhere.
    """
    said, head = json_object(folder / ADAPTER), network.get_output_embeddings()
    copied = said.get("modules_to_save") and not said.get("ensure_weight_tying")
    return not copied and head is not None and head.weight is network.get_input_embeddings().weight


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
