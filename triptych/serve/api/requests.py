"""What a request says, checked: OpenAI's chat completions, as far as they mean something here.

Not what becomes of it (``questions.py``). What is known and would change the answer, but is not done here, is refused
unless it says what holds anyway; what never changes an answer is let pass; what nobody knows is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import ErrorDetails

from triptych.core.errors import ConfigError
from triptych.core.records import Json
from triptych.infer.decoding.sampling import MOST_LOGPROBS, Sampling
from triptych.serve.api.errors import ApiError
from triptych.serve.api.settings import ServeSettings

B = TypeVar("B", bound=BaseModel)
_SEEDS = 2**63
MOST_OPENINGS = 100_000
"""Lists and objects of a body, and brackets in its words: small ones take a hundred times their bytes in memory."""
MOST_COMMAS = 2_000_000
MOST_KEYS = 200
"""Of one object."""
MOST_STOP_LETTERS = 256

PASSING = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
"""Never change an answer."""
ONLY: Mapping[str, tuple[Json, ...]] = {
    "audio": (None,),
    "frequency_penalty": (None, 0),
    "function_call": (None, "none", "auto"),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "modalities": (None, ["text"]),
    "moderation": (None,),
    "parallel_tool_calls": (None, True, False),
    "prediction": (None,),
    "presence_penalty": (None, 0),
    "reasoning_effort": (None, "none"),
    "response_format": (None, {"type": "text"}),
    "service_tier": (None, "auto", "default"),
    "store": (None, False),
    "tool_choice": (None, "none", "auto"),
    "tools": (None, []),
    "verbosity": (None,),
    "web_search_options": (None,),
}
"""Known, and not done here: what they may say."""


class Body(BaseModel):
    """Base of what is in a request: strict types, unknown keys refused, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ImageUrl(Body):
    """Where a picture is."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None
    """Let pass: how large a model sees a picture is its own affair."""


class VideoUrl(Body):
    """Where a video is."""

    url: str
    frames: int | None = Field(default=None, ge=1, le=4096)
    """How many are shown; ours, not OpenAI's."""


class TextPart(Body):
    """Words."""

    type: Literal["text"]
    text: str


class ImagePart(Body):
    """A picture, in its place among the words."""

    type: Literal["image_url"]
    image_url: ImageUrl


class VideoPart(Body):
    """A video, in its place among the words."""

    type: Literal["video_url"]
    video_url: VideoUrl


Part = Annotated[TextPart | ImagePart | VideoPart, Field(discriminator="type")]


def _form(content: object) -> str | None:
    if content is None:
        return "nothing"
    return "words" if isinstance(content, str) else "parts" if isinstance(content, list) else None


Content = Annotated[
    Annotated[str, Tag("words")]
    | Annotated[list[Part], Field(fail_fast=True), Tag("parts")]
    | Annotated[None, Tag("nothing")],
    Discriminator(
        _form,
        custom_error_type="content",
        custom_error_message="expected text, or a list of parts",
    ),
]


class Message(Body):
    """What one speaker says. A reply of ours may be sent back as it came."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content = None
    name: str | None = None
    """Of who speaks; let pass, no template tells it to a model."""
    refusal: None = None
    annotations: Annotated[list[None], Field(fail_fast=True, max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[list[None], Field(fail_fast=True, max_length=0)] | None = None


class StreamOptions(Body):
    """What a stream tells besides the reply."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    """Let pass: it pads events, and changes no reply."""


class Conversation(Body):
    """A model, and what it is shown."""

    model: str
    messages: Annotated[list[Message], Field(fail_fast=True, min_length=1)]


Stop = Annotated[str, Field(max_length=MOST_STOP_LETTERS)]


class ChatRequest(Conversation):
    """A request for replies."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=100)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1, le=2**31)
    seed: int | None = Field(default=None, ge=-_SEEDS, lt=_SEEDS)
    stop: Stop | Annotated[list[Stop], Field(fail_fast=True)] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MOST_LOGPROBS)
    n: int | None = Field(default=None, ge=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=100)
    ignore_eos: bool | None = None


def read_json(content: bytes) -> dict[str, Json]:
    """Return a request's JSON object.

    Raises:
        ApiError: it is none, or holds NaN or Infinity, or a number or a depth that nobody means.
    """
    if content.count(b"{") + content.count(b"[") > MOST_OPENINGS or content.count(b",") > MOST_COMMAS:
        raise ApiError(400, "more lists, objects or brackets than anybody means.", code="invalid_json")
    try:
        tree = json.loads(content, parse_constant=_no_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        said = "nested too deep" if isinstance(error, RecursionError) else str(error).partition("; use sys.")[0]
        raise ApiError(400, f"the body is not JSON: {said}.", code="invalid_json") from None
    if not isinstance(tree, dict):
        raise ApiError(400, f"expected a JSON object, found {type(tree).__name__}.", code="invalid_json")
    return tree


def read_body(tree: dict[str, Json], *, model: type[B]) -> B:
    """Return a request's fields.

    Raises:
        ApiError: one is missing, wrong, unknown, or asks for what is not done here; it names the field.
    """
    said = {name: value for name, value in tree.items() if name not in PASSING}
    for name in ONLY.keys() & said.keys():
        if not any(type(said[name]) is type(only) and said[name] == only for only in _spelled(ONLY[name])):
            allowed = ", ".join(json.dumps(only) for only in ONLY[name] if only is not None)
            raise ApiError(
                400,
                f"{name} is not supported here. Leave it out{f', or say {allowed}' if allowed else ''}.",
                param=name,
                code="unsupported_parameter",
            )
        del said[name]
    try:
        return model.model_validate(said)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        raise _invalid(problem, said) from None


def samplings_of(request: ChatRequest, settings: ServeSettings) -> list[Sampling]:
    """Return how each of the ``n`` replies is chosen; without ``max_tokens``, as long as the settings say.

    Raises:
        ApiError: a value is out of its range.
    """
    if request.max_tokens is not None and request.max_completion_tokens not in {None, request.max_tokens}:
        raise ApiError(400, "max_tokens and max_completion_tokens differ: give one.", param="max_tokens")
    most = request.max_tokens or request.max_completion_tokens or min(settings.max_tokens, settings.reply_tokens)
    choices = request.n or 1
    for name, value, limit in (("max_tokens", most, settings.reply_tokens), ("n", choices, settings.choices)):
        if value > limit:
            raise ApiError(400, f"{name}: at most {limit} here, found {value}.", param=name, code="too_large")
    if request.top_logprobs and not request.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs: true.", param="top_logprobs")
    if request.stream_options is not None and not request.stream:
        raise ApiError(400, "stream_options needs stream: true.", param="stream_options")
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    try:
        return [
            Sampling(
                max_tokens=most,
                temperature=request.temperature or 0.0,
                top_p=1.0 if request.top_p is None else request.top_p,
                top_k=max(0, request.top_k or 0),
                seed=None if request.seed is None else request.seed + number,
                stop=tuple(stop),
                logprobs=(request.top_logprobs or 0) if request.logprobs else None,
                repetition_penalty=request.repetition_penalty,
                ignore_stop=bool(request.ignore_eos),
            )
            for number in range(choices)
        ]
    except ConfigError as error:
        raise ApiError(400, str(error), param=str(error).partition(":")[0]) from None


def _spelled(only: Sequence[Json]) -> list[Json]:
    """Return the values, a whole number also with its point."""
    return [*only, *(float(each) for each in only if type(each) is int)]


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(pairs) > MOST_KEYS or len(made) < len(pairs):
        raise ValueError(f"an object has more than {MOST_KEYS} keys, or one of them twice")
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _invalid(problem: ErrorDetails, tree: Mapping[str, Json]) -> ApiError:
    """Return what is told of a problem; its place without the names of forms that pydantic adds."""
    steps: list[str] = []
    node: Any = tree
    places = problem["loc"]
    for number, step in enumerate(places, start=1):
        of_list = number > 1 and isinstance(places[number - 2], int)
        if of_list and isinstance(node, dict) and step == node.get("type"):
            continue  # the form of a part of a list, though a key of it may be called so too
        listed = isinstance(node, list) and isinstance(step, int) and step < len(node)
        if listed or (isinstance(node, dict) and step in node):
            node = node[step]
        elif problem["type"] != "missing" or number < len(places):
            continue  # the name of a form, not a key
        steps.append(str(step))
    path = ".".join(steps)[:200]
    if problem["type"] == "extra_forbidden":
        return ApiError(400, f"{path}: unknown field. Leave it out.", param=path, code="unknown_parameter")
    if problem["type"] == "missing":
        return ApiError(400, f"{path}: is missing.", param=path, code="missing_required_parameter")
    message = problem["msg"].removeprefix("Input ").replace("valid ", "")
    if problem["type"] == "model_type":  # which calls it a dictionary, or one of our own classes
        message = "should be an object, {...}"
    return ApiError(400, f"{path}: {message}.", param=path, code="invalid_value")
