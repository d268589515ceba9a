"""What an adapter's folder says of words: the tokenizer it was learnt with, and another chat template than its base's.

Not its weights (``merging``). Where the tokenizer is the base's there is nothing to take. Tokens that were added are
the only way to the rows that were learnt for them, so they are taken with these or refused (``adapter_tokens``), and
never left behind; but for those that have no row and need none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from triptych.core.errors import ModelError
from triptych.core.log import say
from triptych.data.template import Template, stop_id, template_names, template_of_jinja
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models.disk.folder import NOTE, read_note, template_in
from triptych.models.disk.llava_kind import words_folder
from triptych.models.disk.locate import locate
from triptych.models.disk.missing_files import unreadable
from triptych.models.disk.recognise import PROBES, json_object, special_tokens, template_that_writes, written
from triptych.models.disk.tokenizer import FILE, SETTINGS, open_tokenizer
from triptych.models.family import Model, open_model
from triptych.models.join import teach_tokenizer
from triptych.models.parts import OPENING_ERRORS, check_tokenizer, clear_errors
from triptych.train.adapter_tokens import take_tokens
from triptych.train.recipe import ModelPlan
from triptych.train.start import laid_over

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""Without one of these a folder has no tokenizer."""
SHOWN = 20
"""Letters of a prompt that a message shows."""
Prompts = Sequence[str]
"""What a chat template makes of ``PROBES``."""
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
    there = [folder / name for name in VOCABULARIES if lexists(folder / name)]
    for path in there:
        if problem := unreadable(path):
            raise ModelError(f"{path} {problem}")
    if not there:
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
    """Give the base the tokens of an adapter's folder, with rows for them, and what its template asks for.

    Args:
        model: the base, with the template of the adapter's folder.
        words: of the adapter's folder.
        weights: the adapter's, by today's names.
        folder: of the adapter.
        base: what it is called.

    Raises:
        ModelError: as ``take_tokens``, or the end of its template is no token.
    """
    take_tokens(model, words.tokenizer, weights=weights, folder=folder, base=base)
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
    """Return the name of the template that a chat template is; None: it is the base's, or gives way to that.

    Where a base's tokenizer has none, trainers of texts (LLaMA-Factory) write one of their own into the adapter's. It
    gives way if it writes what the base's does but for white space, and for what a system turn says unless told.
    """
    spoken = words_folder(base)
    with clear_errors(spoken, "a tokenizer"):
        own = open_tokenizer(spoken).chat_template
    beside = [json_object(base / name).get("chat_template") for name in ("chat_template.json", "processor_config.json")]
    text, bases = _plain(jinja), [_plain(each) for each in (own, *beside)]
    if text in bases:
        return None
    found = template_of_jinja(text) or _that_writes(text, folder, base=base)
    known = _jinja_of(base, own, spoken=spoken)
    if found is not None:
        # Several are one chat template, and differ in what of it is learnt.
        return None if found.jinja == known else found.name
    pairs = _prompts(text, [*bases, known or ""], folder=folder, spoken=spoken)
    if any(theirs == ours for theirs, ours in pairs):
        return None
    # Trainers put the beginning there themselves.
    begins = [special_tokens(each)["bos_token"] for each in (folder, spoken)]
    pairs = [(_bare(theirs, begins), _bare(ours, begins)) for theirs, ours in pairs]
    naming = f'{{"template": NAME}} in {folder / NOTE}; there are: {", ".join(template_names())}.'
    if not own and any(_told(theirs) == _told(ours) for theirs, ours in pairs):
        say(
            f"{folder}: its chat template is not known, and {base}'s is taken, whose tokenizer has none:"
            f" {_difference(pairs, base)}. To take another, name it: {naming}"
        )
        return None
    raise ModelError(
        f"{folder}: its chat template is neither {base}'s nor one that is known: {_difference(pairs, base)}. Take it"
        f" away to keep the base's, or name it: {naming}"
    )


def _plain(jinja: object) -> str:
    """Return a chat template, of several by name the one called ``default``, without ends of lines of another kind."""
    text = jinja.get("default") if isinstance(jinja, dict) else jinja
    return text.replace("\r\n", "\n").strip() if isinstance(text, str) else ""


def _prompts(jinja: str, bases: Sequence[str], *, folder: Path, spoken: Path) -> list[tuple[Prompts, Prompts]]:
    """Return what a chat template writes beside what each of the base's does; of one without images, of texts alone."""
    theirs, marks = special_tokens(folder), special_tokens(spoken)
    before = [""]
    if (said := written(jinja, theirs)) is None:
        said, before = written(_AS_TEXT + jinja, theirs), [_AS_TEXT, _AS_PARTS]
    ours = [written(way + each, marks) for each in bases if each for way in before]
    return [] if said is None else [(said, each) for each in ours if each is not None]


def _bare(prompts: Prompts, begins: Iterable[str]) -> Prompts:
    """Return prompts without what they begin with."""
    for begin in begins:
        prompts = [text.removeprefix(begin) for text in prompts]
    return prompts


def _told(prompts: Prompts) -> list[str]:
    """Return prompts whose system turn says what it was told to, without white space."""
    return ["".join(text.split()) for text, probe in zip(prompts, PROBES, strict=True) if probe[0]["role"] == "system"]


def _difference(pairs: Sequence[tuple[Prompts, Prompts]], base: Path) -> str:
    """Return where the prompts of a chat template first differ from the base's."""
    if not pairs:
        return "it makes no prompt of a conversation, or the base's does not"
    # The last is that of the template that the base opens with.
    differing = ((one, other) for one, other in zip(*pairs[-1], strict=True) if one != other)
    if (first := next(differing, None)) is None:
        return "they differ in what they begin with"
    theirs, ours = first
    at = next((at for at, (one, other) in enumerate(zip(theirs, ours, strict=False)) if one != other), len(theirs))
    behind, here, there = theirs[max(0, at - SHOWN) : at], theirs[at : at + SHOWN], ours[at : at + SHOWN]
    return f"first they differ behind {behind!r}: it writes {here!r}, {base}'s {there!r}"


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
