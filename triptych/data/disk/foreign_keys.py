"""Keys that change what is to be learnt of a row: whether a reply is, read; what no conversation has, refused by name.

Not a row's media (``media_keys``), only those of a turn, which no layout has. Sources: the data pages of LLaMA-Factory
(``kto_tag``, ``tools``, ``loss_weight``), ms-swift (``rejected_response``, ``loss``, ``objects``), TRL (``chosen``, a
completion's ``label``) and OpenAI (``weight``, ``tool_calls``). Read as plain conversations, such rows would train
replies that their authors marked as unwanted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from triptych.core.records import Json, Role, Turn
from triptych.data.disk.media_keys import media_key, names_nothing
from triptych.data.disk.rows import bad

_PAIRS = (
    "chosen",
    "rejected",
    "rejected_response",
    "rejected_conversations",
    "rejected_messages",
    "rejected_images",
    "rejected_videos",
    "positive_messages",
    "negative_messages",
)
FOREIGN_KEYS = frozenset({*_PAIRS, "kto_tag", "tools"})
"""Keys of rows that are no plain conversation."""
WEIGHTS = ("loss", "loss_scale", "loss_weight", "weight")
"""What a published message calls the weight of its words in the loss."""
_CALLS = ("tool_calls", "function_call")
TOOL_SPEAKERS = frozenset(
    {"function", "function_call", "function_response", "observation", "observations", "tool", "tool_call"}
    | {"tool_response"}
)
"""Names of speakers that are no people."""
_PLACES = re.compile(r"<ref-object>|<bbox>")


def refuse_foreign(row: Mapping[str, Json], *, label: bool = False) -> None:
    """Refuse a row of preferences or of tools. A key that is empty says nothing: null, an empty text, list or object,
    or the text of an empty list, as tools are text in LLaMA-Factory's rows.

    Args:
        row: as it stands in the file.
        label: whether a ``label`` that is false marks an unwanted reply in this layout.

    Raises:
        RowError: it is one; the message names the key.
    """
    for key in _PAIRS:
        if not _says_nothing(row.get(key)):
            raise bad(f"{key!r} is for preference pairs, which Triptych does not tune on. Leave the row out.")
    if not _says_nothing(row.get("kto_tag")):
        raise bad("'kto_tag' is for preferences, which Triptych does not tune on. Leave the row out.")
    if label and row.get("label") is False:
        raise bad(
            "'label' is false: in preference data that marks an unwanted reply. Leave the row out, or call the key "
            "something else if it is no preference."
        )
    if not _says_nothing(row.get("tools")):
        raise bad("'tools' is for tools, which Triptych does not tune on. Leave the row out.")


def _says_nothing(value: Json) -> bool:
    # False is a kto_tag that says something.
    return names_nothing(value) or (isinstance(value, str) and value.strip() in ("", "[]", "{}", "null"))


def refuse_places(row: Mapping[str, Json], texts: Sequence[str]) -> None:
    """Refuse words that hold places to be filled from the row's ``objects``: how a box is spelt is a model's matter.

    Raises:
        RowError: they hold some.
    """
    if not row.get("objects"):
        return
    if found := next((place[0] for text in texts if (place := _PLACES.search(text))), None):
        raise bad(
            f"{found} is to be filled from 'objects'. Write names and boxes into the words as the model spells them."
        )


def refuse_turn(turn: Mapping[str, Json], what: str) -> None:
    """Refuse a turn of a tool or that calls one, and a turn's own media.

    Args:
        turn: as it stands in the row.
        what: for the message, ``turn 3``.

    Raises:
        RowError: it is one of those.
    """
    speaker = turn.get("role") if turn.get("role") is not None else turn.get("from")
    if isinstance(speaker, str) and speaker.replace("-", "_") in TOOL_SPEAKERS:
        raise bad(f"{what} is a tool's ({speaker}), which Triptych does not tune on. Leave the row out.")
    for key in _CALLS:
        if turn.get(key):
            raise bad(f"{what} calls tools, which Triptych does not tune on. Leave the row out.")
    if (medium := media_key(turn)) is not None:
        raise bad(
            f"{what} has {medium!r}, but this layout has media in the row, not in its turns. Name them in the row, "
            "with a mark where each stands."
        )


def loss_of(turn: Turn) -> dict[str, Json]:
    """Return the key by which a message that is written says that it is not learnt; none where it is."""
    return {"loss": False} if turn.role == "assistant" and not turn.learnt else {}


def is_learnt(turn: Mapping[str, Json], role: Role, *, what: str) -> bool:
    """Return whether a turn says that it is learnt, under any published key; one that says nothing is.

    Args:
        turn: as it stands in the row.
        role: whose it is; what other turns than replies say of it is passed over.
        what: for the message, ``turn 3``.

    Raises:
        RowError: a weight that is neither 0 nor 1, or two that differ.
    """
    if role != "assistant":
        return True
    said = {key: turn[key] for key in WEIGHTS if turn.get(key) is not None}
    for key, weight in said.items():
        if not isinstance(weight, int | float) or weight not in (0, 1):
            raise bad(
                f"{what} has {key!r}: {str(weight).lower()[:20]}, and a reply is learnt or not: write true or false "
                "(1 or 0), or leave the row out."
            )
    if len(set(map(bool, said.values()))) > 1:
        raise bad(f"{what} has {' and '.join(map(repr, said))}, which say different things. Leave one out.")
    return all(said.values())
