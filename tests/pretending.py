"""Making a process pretend that it has a GPU: ``cuda`` names the device beneath, and ``torch.cuda`` answers.

Not what a tensor there does (``pretended.py``). Torch is changed for good by ``pretend``, in the whole process: call it
in a process of its own, before its first backward pass (``tests/every/test_devices.py``). Autocast casts what it casts
on a GPU, by the lists of torch's documentation as far as they are used here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _device
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from tests.pretended import BACKEND, CUDA, HOST, Pretended, bare, each_of, is_cuda

LOWERED = (
    *("linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "conv1d", "conv2d", "conv3d"),
    "scaled_dot_product_attention",
)
"""Computed in the type of autocast."""
RAISED = (
    *("layer_norm", "softmax.int", "log_softmax.int", "cross_entropy_loss", "nll_loss_nd", "mse_loss", "exp", "log"),
    *("pow.Tensor_Scalar", "pow.Tensor_Tensor", "rsqrt", "sum", "sum.dim_IntList", "cumsum", "cosine_similarity"),
)
"""Computed in float32 under autocast."""
PROMOTED = ("index_put", "cat", "stack", "scatter_add")
"""Computed under autocast in the widest type that is given, which may be float32 or autocast's own: no other."""
FACTORIES = (
    *("arange", "arange.start", "arange.start_step", "full", "eye", "eye.m", "scalar_tensor", "empty.memory_format"),
    *("empty_strided", "zeros", "ones", "rand", "randn", "tril_indices", "triu_indices", "linspace"),
)
"""Operations that torch's own code calls with a device; those that Python calls are wrapped by ``_Naming``."""


class _Naming(TorchFunctionMode):
    """Lets Python's ``cuda`` be the device beneath, and makes what Python makes there. State: none."""

    def __torch_function__(self, func: Any, types: object, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _CONSTRUCTORS:
            if func in _TAKING and isinstance(args[0], Tensor) and is_cuda(kwargs.get("device", args[0].device)):
                return args[0].to(_beneath(CUDA), kwargs.get("dtype"))
            if not is_cuda(kwargs.get("device")):
                return func(*args, **kwargs)
            if kwargs.get("generator") is not None:
                raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
            kwargs["device"] = HOST
            learns = kwargs.pop("requires_grad", False)
            return Pretended(func(*args, **kwargs)).requires_grad_(learns)
        if func == _SETS_DATA:
            return _give(*args)
        if func is Tensor.cuda:
            return args[0].to(_beneath(CUDA))
        if func is Tensor.pin_memory:
            return args[0]
        if "device" in kwargs:
            kwargs["device"] = _beneath(kwargs["device"])
        if func in _MOVING:
            args = tuple(map(_beneath, args))
        return func(*args, **kwargs)


_CONSTRUCTORS = _device._device_constructors()
_TAKING = {torch.as_tensor, torch.asarray}
_SETS_DATA = Tensor.data.__set__  # type: ignore[attr-defined]
_MOVING = {Tensor.to}


def _beneath(device: Any) -> Any:
    known = isinstance(device, torch.device) or (isinstance(device, str) and device.startswith("cuda"))
    return torch.device(BACKEND, 0) if known and torch.device(device).type == "cuda" else device


def _give(own: Tensor, value: Tensor) -> None:
    """Set ``own.data``: the tensor stays the one that it is, also where it changes its device."""
    slope, learns = own.grad, own.requires_grad
    with torch.no_grad():
        fresh: Tensor = value.detach()
        fresh = torch.nn.Parameter(fresh, learns) if isinstance(own, torch.nn.Parameter) else fresh
    own.grad = None
    torch.utils.swap_tensors(own, fresh.requires_grad_(learns))
    if slope is not None and slope.device == own.device:
        own.grad = slope


class _Hook(torch._C._acc.PrivateUse1Hooks):
    def is_available(self) -> bool:
        return True

    def has_primary_context(self, device_index: int) -> bool:
        return True

    def is_built(self) -> bool:
        return True


class _Backend:
    """What torch asks of a device's module."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """The host's numbers are all there are."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def _name_beneath(device: object) -> Any:
    return BACKEND if device == "cuda" else device


def _named_beneath(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of torch's whose first argument is the name of a device, under its name here."""
    return lambda device=None, *rest, **more: (
        function(*rest, **more) if device is None else function(_name_beneath(device), *rest, **more)
    )


_KEEP: list[object] = []
"""What torch forgets when nobody holds it: registered kernels."""


def pretend() -> None:
    """Let this process have a GPU that is none, for good. In every thread that is begun from now on too."""
    import_module("torch._dynamo")  # which reads the functions that are changed below
    import_module("peft")  # and bitsandbytes, where it is: with a GPU it would look for its kernels
    _setup_privateuseone_for_python_backend(BACKEND, backend_module=_Backend(), hook=_Hook())
    aten = torch.library.Library("aten", "IMPL")
    _KEEP.append(aten)
    for name in FACTORIES:
        aten.impl(name, _factory(name), "PrivateUse1")
    aten.impl("_copy_from", _copy_from, "PrivateUse1")
    for name in LOWERED:
        aten.impl(name, _casting(name, lower=True), "AutocastPrivateUse1")
    for name in RAISED:
        aten.impl(name, _casting(name, lower=False), "AutocastPrivateUse1")
    for name in PROMOTED:
        aten.impl(name, _promoting(name), "AutocastPrivateUse1")
    rest = torch.library.Library("_", "IMPL")
    _KEEP.append(rest)
    rest.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    begin = torch.amp.autocast.__init__
    torch.amp.autocast.__init__ = lambda self, device_type, *args, **kwargs: begin(  # type: ignore[method-assign]
        self, _name_beneath(device_type), *args, **kwargs
    )
    for name in ("is_autocast_enabled", "get_autocast_dtype", "set_autocast_enabled", "set_autocast_dtype"):
        setattr(torch, name, _named_beneath(getattr(torch, name)))
    for name, answer in _GPU.items():
        setattr(torch.cuda, name, answer)
    run = threading.Thread.run

    def run_pretending(thread: threading.Thread) -> None:
        with _Naming():
            run(thread)

    threading.Thread.run = run_pretending  # type: ignore[method-assign]
    torch.__future__.set_swap_module_params_on_conversion(True)  # a weight that moves stays the object that it is
    _Naming().__enter__()


def refusals() -> dict[str, str]:
    """Return what is said to tensors of both kinds where they meet; empty where they may."""
    here, there = torch.ones(3, 3), torch.ones(3, 3, device="cuda")
    first = torch.tensor([0])
    meetings: dict[str, Callable[[], object]] = {
        "add": lambda: here + there,
        "add in place": lambda: here.clone().add_(there),
        "cat": lambda: torch.cat([there, here]),
        "a layer": lambda: torch.nn.Linear(3, 3, device="cuda")(here),
        "an index of the host's": lambda: there[first],
        "a number of the host's": lambda: there * torch.tensor(2.0),
        "an index for the host": lambda: here[first.to("cuda")],
        "numpy": lambda: there.numpy(),
        "a generator": lambda: torch.rand(3, device="cuda", generator=torch.Generator()),
    }
    said = {}
    for name, meet in meetings.items():
        try:
            meet()
            said[name] = ""
        except (RuntimeError, TypeError) as error:
            said[name] = str(error).split(",")[0].split(". ")[0]
    return said


@contextmanager
def hidden(away: bool = True) -> Iterator[None]:
    """Let a process that pretends see no GPU for a while, as one without would."""
    if away:
        torch.cuda.is_available = lambda: False
    try:
        yield
    finally:
        torch.cuda.is_available = _GPU["is_available"]


_GPU: dict[str, Callable[..., Any]] = {
    "is_available": lambda: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "get_device_name": lambda *_: "pretended H200",
    "is_bf16_supported": lambda *_, **__: True,
    **dict.fromkeys(("set_device", "synchronize", "empty_cache", "reset_peak_memory_stats"), lambda *_: None),
    "mem_get_info": lambda *_: (2**30, 2**33),
    **dict.fromkeys(("memory_reserved", "memory_allocated", "max_memory_allocated"), lambda *_: 2**30),
}


def _operation(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


def _factory(name: str) -> Callable[..., Tensor]:
    operation = _operation(name)

    def make(*args: Any, **kwargs: Any) -> Tensor:
        with torch._C.DisableTorchFunction():
            return Pretended(operation(*args, **{**kwargs, "device": HOST, "pin_memory": False}))

    return make


def _copy_from(source: Tensor, aim: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy what torch's own C++ makes of a list that is an index."""
    bare(aim).copy_(bare(source))
    return aim


def _promoting(name: str) -> Callable[..., Any]:
    operation = _operation(name)
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def compute(*args: Any, **kwargs: Any) -> Any:
        kinds: set[torch.dtype] = set()

        def note(value: Tensor) -> Tensor:
            if isinstance(value, Pretended) and value.is_floating_point() and value.dtype != torch.float64:
                kinds.add(value.dtype)
            return value

        each_of(note, args)
        if kinds - {torch.float32, torch.get_autocast_dtype(BACKEND)}:
            raise RuntimeError("Unexpected floating ScalarType in at::autocast::prioritize")
        widest = max(kinds, key=lambda kind: kind.itemsize, default=None)

        def cast(value: Tensor) -> Tensor:
            return value if widest is None or value.dtype not in kinds else value.to(widest)

        with torch._C._ExcludeDispatchKeyGuard(key):
            return operation(*each_of(cast, args), **kwargs)

    return compute


def _casting(name: str, *, lower: bool) -> Callable[..., Any]:
    operation = _operation(name)
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(value: Tensor) -> Tensor:
        if not isinstance(value, Pretended) or not value.is_floating_point() or value.dtype == torch.float64:
            return value
        return value.to(torch.get_autocast_dtype(BACKEND) if lower else torch.float32)

    def compute(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(key):
            return operation(*each_of(cast, args), **{name: each_of(cast, value) for name, value in kwargs.items()})

    return compute
