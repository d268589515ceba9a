"""An accelerator that is pretended on the CPU: tensors that say ``cuda``, hold true numbers, and mix with no others.

Not a GPU: numbers, kernels, speed and memory are the CPU's. What it shows is where a tensor is believed to be. One that
is moved to ``cuda`` is a wrapper around a CPU tensor on torch's device for backends written in Python (PrivateUse1); an
operation that is given both kinds fails as torch's own do, and ``numpy()`` refuses. In Python it is called ``cuda``, so
that branches on that name are taken; ``torch.cuda`` answers as if one GPU were there.

Where a process is made to pretend: ``pretending.py``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

import triptych
from tests.pack_kernel import KERNELS

BACKEND = "pretended"
"""What torch calls the device beneath."""
CUDA = torch.device("cuda", 0)
HOST = torch.device("cpu")
MOVES = {"aten::copy_", "aten::_to_copy"}
"""What takes tensors of both kinds."""
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_unsafe_index", "aten::_index_put_impl_"}
"""What may be told its places by the host."""
SCALARS = {"aten::masked_fill", "aten::masked_fill_", "aten::where", "aten::fill_", "aten::fill"} | INDEXED
"""What takes one number of the host, besides what computes number by number."""
ASKING = {
    *("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::is_nonzero"),
    *("aten::unique_consecutive", "aten::_unique2", "aten::unique_dim"),
}
"""What the host cannot go on without the answer of: a number, or how many there are."""
ASKERS = {
    name: str(Path(module.__file__).parent) for name, module in (("triptych", triptych), ("transformers", transformers))
}
"""Who is named when the host waits -> where their files are."""


class Pretended(Tensor):
    """A tensor that says it is on a GPU. State: the CPU tensor that it really is."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, real: Tensor) -> Pretended:
        made: Pretended = Tensor._make_wrapper_subclass(
            cls,
            real.shape,
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            layout=real.layout,
            device=torch.device(BACKEND, 0),
        )
        made.held = real
        return made

    def __repr__(self, **_: object) -> str:
        return f"Pretended({self.held})"

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def tolist(self) -> Any:
        _note_wait("tolist")
        return self.held.tolist()

    def numpy(self, *_: object, **__: object) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def __array__(self, dtype: object = None) -> Any:
        return self.numpy()

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.held.untyped_storage()

    def __deepcopy__(self, memo: dict[int, object]) -> Tensor:
        with torch.no_grad():
            copied = self.detach().clone().requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            copied._is_param = True  # type: ignore[attr-defined]
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, _: object) -> tuple[Any, ...]:
        return Pretended, (self.held.detach(),)

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(held: dict[str, Tensor], *_: object) -> Tensor:
        return Pretended(held["held"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: object, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if _is_made_of_others(func):  # in inference mode torch asks for the whole of it
            return func.decompose(*args, **kwargs)
        own = {id(leaf.held): leaf for leaf in _tensors((args, *kwargs.values())) if isinstance(leaf, Pretended)}
        check_devices(func, args, kwargs)
        if waits(func, args, kwargs):
            _note_wait(func._schema.name)
        aim = kwargs.get("device")
        stays = aim is None or is_cuda(aim)
        if aim is not None and stays:
            kwargs["device"] = HOST
        with torch._C.DisableTorchFunction():
            compute = KERNELS.get(func._schema.name, func)
            made = compute(*each_of(bare, args), **{name: each_of(bare, value) for name, value in kwargs.items()})
        for leaf in own.values() if func._schema.is_mutable else ():
            assert leaf.shape == leaf.held.shape, f"{func} changes a shape in place: that is not pretended"
        if not stays or (func._schema.is_mutable and not isinstance(args[0], Pretended)):  # host.copy_(pretended)
            return made
        shows = func.is_view and not args[0].is_inference()  # what shows a tensor is of its kind
        with torch.inference_mode(False) if shows else nullcontext():
            return each_of(lambda each: own[id(each)] if id(each) in own else Pretended(each), made)


@cache
def _is_made_of_others(func: Any) -> bool:
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))


def bare(value: Tensor) -> Tensor:
    return value.held if isinstance(value, Pretended) else value


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    """Yield the tensors among values, those in lists too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def each_of(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return a value, each tensor that it is or has changed."""
    if isinstance(value, Tensor):
        return change(value)
    return type(value)(each_of(change, one) for one in value) if isinstance(value, list | tuple) else value


def check_devices(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise RuntimeError where an operation is given tensors of both kinds that torch would not take together."""
    name = func._schema.name
    if name in MOVES:
        return
    given = _tensors((*args[:1], *args[2:], *kwargs.values()) if name in INDEXED else (*args, *kwargs.values()))
    scalars = torch.Tag.pointwise in func.tags or name in SCALARS
    for each in given:
        if not isinstance(each, Pretended) and (each.dim() > 0 or not scalars):
            raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu! ({func})")


def waits(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Return whether a GPU would let the host wait until it has done all that it was told before."""
    name = func._schema.name
    if name in INDEXED:  # by what is true: how many? By the host's: they are brought there first
        places = [each for each in args[1] if isinstance(each, Tensor)]
        return any(each.dtype == torch.bool or not isinstance(each, Pretended) for each in places)
    if name == "aten::_to_copy":
        aim = kwargs.get("device")
        moves = aim is not None and is_cuda(aim) != isinstance(args[0], Pretended)
        return moves and not kwargs.get("non_blocking")
    if name == "aten::copy_":
        return isinstance(args[0], Pretended) != isinstance(args[1], Pretended) and not any(args[2:])
    return name in ASKING or (name == "aten::repeat_interleave" and kwargs.get("output_size") is None)


_HEARD: list[list[str]] = []


@contextmanager
def waiting() -> Iterator[list[str]]:
    """Yield what the host waits for while the block runs: of each time, the operation and who asked for it."""
    _HEARD.append([])
    try:
        yield _HEARD[-1]
    finally:
        _HEARD.pop()


def _note_wait(name: str) -> None:
    if _HEARD:
        files = [frame.filename for frame in reversed(traceback.extract_stack())]
        by = ((who, Path(file).name) for file in files for who, folder in ASKERS.items() if file.startswith(folder))
        _HEARD[-1].append(f"{name} by {' '.join(next(by, ('torch', 'backward')))}")


def is_cuda(device: Any) -> bool:
    return isinstance(device, int | str | torch.device) and torch.device(device).type in ("cuda", BACKEND)
