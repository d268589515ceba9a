"""The conversations of a running engine as rows of one cache: a step is one forward pass, and nothing is copied for it.

Not the choosing of tokens, nor who may come in (``engine``). Keys and values stand in buffers, one a layer, with room
for more rows and columns than are in use. A row begins at column 0 and each of its tokens is written behind its last
one, in place; what stands right of a row's end is masked. A row that joins is computed where it will stay, a row that
leaves hands its place to the last one: nobody else is touched. Buffers are copied only when they grow.

Which networks can be asked so is not guessed from their names: ``shape_of`` asks a few words in both ways once. Those
whose cache is anything but keys and values of every position (recurrent layers; what is longer than layers reach:
``rows``) cannot; they are asked one by one (``one_by_one``). Media that stand beside the words go along with their rows
(``media_slots``).

Shapes: R rows of the buffers, B of them in use, A heads (of positions: axes), C columns, L tokens of a row, D size of
a head, T tokens of a pass or columns of its mask, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from triptych.core.log import say
from triptych.data.batch import collate
from triptych.data.template import Encoded
from triptych.infer.decoding.decode import CLOSE, ROUGH, DecodingModel, holds_trials
from triptych.infer.decoding.kv_cache import holds_all
from triptych.models.family import Woven
from triptych.models.flamingo.cache import MediaCache
from triptych.models.memory.placement import computing

SIGHT = "sees"
"""What a family calls which media each token sees, [B, T, M], beside the words."""
COLUMNS_AT_ONCE = 64
"""Buffers grow to a multiple of this."""


@dataclass(frozen=True, slots=True, eq=False)
class PrefixKV:
    """Keys and values of the first tokens of a conversation: layer by layer, each [A, L, D]."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What a layer keeps of a token."""

    heads: int
    key_size: int
    value_size: int
    dtype: torch.dtype
    device: torch.device


@dataclass(slots=True)
class _Aim:
    """Which part of the buffers the current pass writes, and which it sees."""

    rows: slice = field(default_factory=lambda: slice(0, 0))
    start: int = 0
    """Column of its first token; of rows that go on by one, unused."""
    ends_B: Tensor | None = None
    """Column of each row's one new token; None: one row, from ``start`` on."""
    numbers_B: Tensor | None = None
    """Indices of the rows, from 0, where ``ends_B`` is given."""
    width: int = 0
    """Columns that are seen, the new ones included."""


class _Layer(CacheLayerMixin):
    """A layer's buffers, as transformers asks a cache. It says what the pass under way needs to know."""

    is_sliding = False

    def __init__(self, shape: LayerShape, aim: _Aim) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shape = shape
        self.aim = aim
        self.is_initialized = True
        self.keys = self._empty(0, 0, shape.key_size)
        self.values = self._empty(0, 0, shape.value_size)

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Do nothing: there are buffers from the first."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: object, **_more: object
    ) -> tuple[Tensor, Tensor]:
        """Write new keys_BALD and values_BALD in their places, and return all that the pass sees."""
        aim = self.aim
        assert self.keys is not None
        assert self.values is not None
        for buffer_RACD, new_BALD in ((self.keys, key_states), (self.values, value_states)):
            if aim.ends_B is None or aim.numbers_B is None:
                buffer_RACD[aim.rows, :, aim.start : aim.width] = new_BALD
            else:
                device = buffer_RACD.device
                buffer_RACD[aim.numbers_B.to(device), :, aim.ends_B.to(device)] = new_BALD[:, :, 0].to(buffer_RACD)
        return self.keys[aim.rows, :, : aim.width], self.values[aim.rows, :, : aim.width]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many columns are seen, from column 0 on."""
        del query_length
        return self.aim.width, 0

    def get_seq_length(self) -> int:
        """Return how many columns stand before what is new."""
        return self.aim.start if self.aim.ends_B is None else self.aim.width - 1

    def get_max_length(self) -> int:
        """Return -1: no end of its own."""
        return -1

    def resize(self, rows: int, columns: int, used: Sequence[int]) -> None:
        """Have buffers of other sizes, with what so many first columns of the first rows held."""
        for name, size in (("keys", self.shape.key_size), ("values", self.shape.value_size)):
            old_RACD, new_RACD = getattr(self, name), self._empty(rows, columns, size)
            most = max(used, default=0)
            new_RACD[: len(used), :, :most] = old_RACD[: len(used), :, :most]
            setattr(self, name, new_RACD)

    def _empty(self, rows: int, columns: int, size: int) -> Tensor:
        # Zeros: what is masked is still computed with, and what is no number would stay none.
        shape = (rows, self.shape.heads, columns, size)
        return torch.zeros(shape, dtype=self.shape.dtype, device=self.shape.device)


class Slots:
    """Rows that are computed together. Their state: keys, values, lengths and next positions of each."""

    joins = True

    def __init__(self, model: DecodingModel, layers: Sequence[LayerShape], *, tokens: int) -> None:
        """Begin without rows.

        Args:
            model: whose words these are.
            layers: from ``shape_of``.
            tokens: most positions of the buffers: rows x columns.
        """
        self._model = model
        self._tokens = tokens
        self._aim = _Aim()
        self._layers = [_Layer(shape, self._aim) for shape in layers]
        self._cache = Cache(layers=list(self._layers))
        self._device = layers[0].device
        self._rows = self._columns = 0
        self.lengths: list[int] = []

    def positions(self, lengths: Sequence[int]) -> int:
        """Return what rows that will be so long take of ``tokens``, padding included."""
        return len(lengths) * max(lengths, default=0)

    @torch.inference_mode()
    def begin(self, woven: Woven, *, source: PrefixKV | int | None = None, common: int = 0) -> Tensor:
        """Add a row and return logits_V of what follows it. When this raises, it is as if nothing had been asked.

        Args:
            woven: what is to be computed, one row without padding; positions as they are in the whole.
            source: where its first tokens' keys and values are: kept, or in the row of this number.
            common: how many of them; they stand before what is woven.
        """
        row, length = len(self.lengths), common + woven.embeds_BTH.shape[1]
        self._make_room(row + 1, length)
        if common:
            self._copy(source, row, common)
        self._set(_Aim(slice(row, row + 1), start=common, width=length))
        mask_BT = torch.ones(1, length, dtype=torch.long, device=self._device)
        logits_BV = self._run(woven, mask_BT)
        self.lengths.append(length)
        return logits_BV[0]

    @torch.inference_mode()
    def step(self, ids: Sequence[int], nexts: Sequence[int], *, axes: int) -> Tensor:
        """Give every row one more token, and return logits_BV of what follows.

        Args:
            ids: a token for each row.
            nexts: its position, on every axis the same.
            axes: how many axes positions have.
        """
        width = max(self.lengths) + 1
        self._make_room(len(ids), width)
        ends_B = torch.tensor(self.lengths, device=self._device)
        numbers_B = torch.arange(len(ids), device=self._device)
        self._set(_Aim(slice(0, len(ids)), ends_B=ends_B, numbers_B=numbers_B, width=width))
        mask_BT = (torch.arange(width, device=self._device) <= ends_B[:, None]).long()
        ids_BT = torch.tensor(ids, device=self._device)[:, None]
        at_BT = torch.tensor(nexts, device=self._device)[:, None]
        words = Woven(
            self._model.network.get_input_embeddings()(ids_BT),
            at_BT.expand(axes, -1, -1),
            torch.zeros_like(ids_BT),
        )
        logits_BV = self._run(words, mask_BT)
        self.lengths = [length + 1 for length in self.lengths]
        return logits_BV

    @torch.inference_mode()
    def leave(self, row: int) -> None:
        """Take a row out; the last one gets its number."""
        last = len(self.lengths) - 1
        if row != last:
            for layer in self._layers:
                for buffer_RACD in (layer.keys, layer.values):
                    assert buffer_RACD is not None
                    buffer_RACD[row, :, : self.lengths[last]] = buffer_RACD[last, :, : self.lengths[last]]
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()

    @torch.inference_mode()
    def keep(self, row: int, tokens: int) -> PrefixKV:
        """Return a copy of a row's first tokens."""
        keys, values = zip(*(self._first(layer, row, tokens) for layer in self._layers), strict=True)
        return PrefixKV(tuple(each.clone() for each in keys), tuple(each.clone() for each in values))

    def clear(self) -> None:
        """Give all rows up, and the buffers back."""
        self.lengths = []
        self._rows = self._columns = 0
        for layer in self._layers:
            layer.resize(0, 0, [])

    def _run(self, woven: Woven, mask_BT: Tensor) -> Tensor:
        """Return logits_BV of the last position: the pass for which the aim was set."""
        with computing(self._model):
            return self._model.run(woven, mask=mask_BT, cache=self._cache)[0]

    def _first(self, layer: _Layer, row: int, tokens: int) -> tuple[Tensor, Tensor]:
        assert layer.keys is not None
        assert layer.values is not None
        return layer.keys[row, :, :tokens], layer.values[row, :, :tokens]

    def _copy(self, source: PrefixKV | int | None, row: int, tokens: int) -> None:
        """Give a row the first tokens of another, or of what was kept."""
        assert source is not None
        for number, layer in enumerate(self._layers):
            if isinstance(source, PrefixKV):
                found = (source.keys[number][:, :tokens], source.values[number][:, :tokens])
            else:
                found = self._first(layer, source, tokens)
            for place, own in zip(self._first(layer, row, tokens), found, strict=True):
                place.copy_(own)

    def _set(self, aim: _Aim) -> None:
        for name in aim.__slots__:
            setattr(self._aim, name, getattr(aim, name))

    def _make_room(self, rows: int, columns: int) -> None:
        """Have buffers of at least so many rows and columns, and some more where ``tokens`` allow."""
        if rows <= self._rows and columns <= self._columns:
            return
        least = max(columns, *self.lengths, 1)
        wide = -(-least * 5 // 4 // COLUMNS_AT_ONCE) * COLUMNS_AT_ONCE if columns > self._columns else self._columns
        high = max(rows * 2 if rows > self._rows else self._rows, rows, len(self.lengths))
        high = max(rows, len(self.lengths), min(high, self._tokens // max(wide, 1)))
        wide = max(least, min(wide, self._tokens // high))
        self._rows = self._columns = 0  # until it is done
        for layer in self._layers:
            layer.resize(high, wide, self.lengths)
        self._rows, self._columns = high, wide


def woven_words(model: DecodingModel, ids: Sequence[int]) -> Woven:
    """Return words alone as the language model is given them, from position 0 on."""
    words = Encoded("", tuple(ids), (False,) * len(ids), ())
    with computing(model):
        return model.weave(collate([[words]], pad_id=0), [])


@torch.inference_mode()
def shape_of(model: DecodingModel) -> list[LayerShape] | None:
    """Return what each layer keeps, where a model says the same in slots as alone; None: its rows cannot be joined.

    Three short rows are asked in both ways, one of them beginning as another does.
    """
    prompts = ([0, 1, 2, 3], [1, 2, 3, 1, 2, 0], [0, 1, 3, 2, 1])
    common, token = 2, 3
    if not holds_trials(model):
        return None
    wanted, shapes = [], None
    for prompt in prompts:
        woven = woven_words(model, [*prompt, token])
        mask_BT = torch.ones(1, len(prompt) + 1, dtype=torch.long, device=woven.embeds_BTH.device)
        with computing(model):
            logits_BV, cache = model.run(woven, mask=mask_BT, cache=None)
        wanted.append(logits_BV[0])
        shapes = _shapes(cache, model.precision)
        if shapes is None or woven.extra_inputs:
            return None
    assert shapes is not None
    slots = Slots(model, shapes, tokens=1 << 20)
    try:
        for number, prompt in enumerate(prompts):
            woven, known = woven_words(model, prompt), common if number == 2 else 0
            slots.begin(rest_of_woven(woven, known), source=0 if known else None, common=known)
        axes = len(woven_words(model, prompts[0]).positions_ABT)
        found_BV = slots.step([token] * len(prompts), [len(prompt) for prompt in prompts], axes=axes)
    except torch.OutOfMemoryError:
        raise  # says nothing of the network
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        _tell(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return None  # a network that asks a cache for more than this one says
    wanted_BV = torch.stack(wanted)
    close = CLOSE if wanted_BV.dtype == torch.float32 else ROUGH
    if bool((found_BV - wanted_BV).abs().max() <= close * wanted_BV.abs().max()):
        return shapes
    _tell("its replies to several at once are not those to each alone")
    return None


def _tell(why: str) -> None:
    say(f"requests are answered one by one, as this network cannot be asked several at once ({why})")


def _shapes(cache: Cache, precision: torch.dtype) -> list[LayerShape] | None:
    if type(cache) not in (DynamicCache, MediaCache):
        return None
    found = []
    for layer in cache.layers:
        if not holds_all(layer):
            return None
        keys, values = layer.keys, layer.values
        if keys is None or values is None or keys.dim() != 4 or values.dim() != 4 or keys.device != values.device:
            return None
        # Under autocast rotary keys are float32, and are rounded before they are multiplied: here when they are kept.
        kind = min(keys.dtype, precision, key=lambda each: each.itemsize)
        found.append(LayerShape(keys.shape[1], keys.shape[3], values.shape[3], kind, keys.device))
    return found


def rest_of_woven(woven: Woven, tokens: int) -> Woven:
    """Return what comes after the first tokens, all media beside it."""
    return replace(
        woven,
        embeds_BTH=woven.embeds_BTH[:, tokens:],
        positions_ABT=woven.positions_ABT[:, :, tokens:],
        segments_BT=woven.segments_BT[:, tokens:],
        extra_inputs={name: each[:, tokens:] if name == SIGHT else each for name, each in woven.extra_inputs.items()},
    )
