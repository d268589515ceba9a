"""Which rows an engine's requests become: joined in slots, or one by one where a network cannot be asked otherwise.

Not the rows themselves (``slots``, ``media_slots``, ``one_by_one``). A network that looks through a window keeps keys
and values of every position as long as nothing is longer than the window: so far its rows are joined as others' are. So
with one whose rotary positions, or anything else, are others beyond some length. What is longer is asked one by one,
and waits until the rows that are joined have ended; those that come after wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from triptych.infer.engine.media_slots import MediaSlots
from triptych.infer.engine.one_by_one import OneByOne
from triptych.infer.engine.slots import Slots, shape_of
from triptych.models.attention.lengths import forget_lengths, reach_of
from triptych.models.family import Model


class Rows:
    """The rows of an engine. State: those of both kinds, one of which is in use."""

    def __init__(self, model: Model, *, tokens: int) -> None:
        """Find out how the model can be asked, and begin without rows.

        Args:
            model: in evaluation mode.
            tokens: most positions of all rows, padding included.
        """
        forget_lengths(model.network, model.network.config.get_text_config())
        layers, joined = shape_of(model), Slots if model.splices else MediaSlots
        self._one_by_one = OneByOne(model)
        self._slots = None if layers is None else joined(model, layers, tokens=tokens)
        self._reach = reach_of(model.network.config.get_text_config())
        self._tokens = tokens
        self.now: Slots | OneByOne = self._slots or self._one_by_one
        """The rows in use, of either kind."""

    @property
    def joins(self) -> bool:
        """Whether rows are joined and share beginnings, as long as none is longer than layers reach."""
        return self._slots is not None

    def fit(self, longest: int, lengths: Sequence[int]) -> bool:
        """Tell whether there is room for a request.

        Args:
            longest: tokens of its prompt and its longest reply.
            lengths: the same of those under way.
        """
        rows = self._suiting(longest)
        return (not lengths or rows is self.now) and rows.positions([*lengths, longest]) <= self._tokens

    def turn(self, longest: int) -> None:
        """Use the rows that suit a request, where no row is in use."""
        if not self.now.lengths:
            self.now = self._suiting(longest)

    def _suiting(self, longest: int) -> Slots | OneByOne:
        if self._slots is None or (self._reach is not None and longest > self._reach):
            return self._one_by_one
        return self._slots
