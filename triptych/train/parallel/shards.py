"""FSDP2: each process holds a share of every weight, gradient and moment; whole weights are gathered where they work.

Not the loop, and not checkpoints (``saved.py``). The language model's blocks are gathered one at a time, on the way
forth and back, by ``fully_shard``. Projector, embeddings, head, and a tower that trains are gathered for a step as a
whole: how often they work differs from process to process (one has three images, another none), and a gathering that
happens while they work would wait for ever for those who do not come. No image is made up. What keeps all processes
in step is instead:

- whatever a process does with the gathered parts, they are gathered and their gradients are added up by a call that
  every process makes: ``begin`` and ``settle_pass``;
- who has fewer micro-batches than others runs ``idle_batch``, two padding tokens of which nothing is learnt; its
  gradient is exactly zero;
- the way back goes through every block in every process, also where a process has no image to learn from.

A frozen tower is not sharded: every process keeps it. A weight that stands in the network outside of the modules of its
part (the line end of a LLaVA with tiles) is set there again whenever it is gathered or let go of.

Shapes: B rows, T tokens a row, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from triptych.core.errors import ModelError
from triptych.data.batch import IGNORE, Batch
from triptych.models.family import Model
from triptych.train.parallel.replicas import anybody
from triptych.train.parallel.world import World


class Shards:
    """A model in shares. State: which weights had a gradient in this step."""

    in_step = True

    def __init__(self, model: Model, world: World, *, bfloat16: bool) -> None:
        """Cut the model into shares, in place: its weights are other objects from then on.

        Args:
            model: with parts frozen, free or adapted, on the world's device.
            world: who gets a share.
            bfloat16: gather and compute in bfloat16; shares, sums and moments stay float32.

        Raises:
            ModelError: weights are not floating, as those kept in 4 bits, or there are no blocks.
        """
        for part, module in model.parts_and_head().items():
            for name, weight in module.named_parameters():
                if not weight.is_floating_point() or type(weight).__name__ == "Params4bit":
                    raise ModelError(f"weight {part}.{name} is quantised, which fsdp cannot share: use ddp.")
        mesh = init_device_mesh(world.device.type, (world.ranks,))
        # What goes from layer to layer stays float32, as in one process; autocast lowers what is multiplied.
        lowered = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
        policy = lowered if bfloat16 else MixedPrecisionPolicy()
        body, blocks = model.body, blocks_of(model.body)
        for block in blocks:
            fully_shard(block, mesh=mesh, mp_policy=policy)
        tower, rest = _around(model, blocks)
        self._elsewhere = _elsewhere(model.network, [*tower, *rest])
        self._rest = _held(rest, mesh, policy)
        self._tower = _held(tower, mesh, policy) if tower else None
        held = {weight for unit in self._units(sees=True) for weight in unit.parameters()}
        fully_shard(body, mesh=mesh, mp_policy=policy, ignored_params=held)
        for module in (body, *blocks, *self._units(sees=True)):
            _add_up(module)
        self._follow()
        self.weights: Mapping[str, nn.Parameter] = {
            f"{part}.{name}": weight
            for part, module in model.parts_and_head().items()
            for name, weight in module.named_parameters()
            if weight.requires_grad
        }
        names = {weight: name for name, weight in self.weights.items()}
        self._names = {unit: [names.get(weight) for weight in unit.parameters()] for unit in self._units(sees=True)}
        self._used: set[str] = set()
        self._active: list[_Held] = []
        self._inside: list[str] = []
        self._watched: set[nn.Parameter] = set()
        for block in blocks:
            own = {here: names[weight] for here, weight in block.named_parameters() if weight in names}
            self._inside += own.values()
            block.register_forward_pre_hook(partial(self._watch, own))
        if any(name.startswith(("vision.", "projector.")) for name in self.weights):
            body.register_forward_pre_hook(_go_all_the_way_back, with_kwargs=True)
        model.parts()["vision"].to(world.device)  # the one part that may not be shared out

    def begin(self, *, sees: bool) -> None:
        """Gather what works all through a step."""
        self._used = set()
        self._active = self._units(sees=sees)
        for unit in self._active:
            _sharded(unit).unshard()
        self._follow()

    def settle_pass(self) -> None:
        """Add up the gathered parts' gradients over all processes, into the shares."""
        for unit in self._active:
            for name, weight in zip(self._names[unit], unit.parameters(), strict=True):
                if name is not None and weight.grad is not None:
                    self._used.add(name)
            unit(torch.zeros(1, device=next(unit.parameters()).device, requires_grad=True)).sum().backward()

    def finish(self) -> None:
        """Let go of what was gathered; a weight that no process used keeps no gradient, as in one process."""
        for unit in self._active:
            _sharded(unit).reshard()
        self._follow()
        names = [name for unit in self._units(sees=True) for name in self._names[unit] if name is not None]
        names += self._inside
        used = anybody([name in self._used for name in names], like=self.weights) if names else []
        for name, any_use in zip(names, used, strict=True):
            if not any_use:
                self.weights[name].grad = None

    @contextmanager
    def looking(self, *, sees: bool) -> Iterator[None]:
        """Gather what works all through a step for passes of which nothing is learnt; then let go of it."""
        self.begin(sees=sees)
        try:
            yield
        finally:
            for unit in self._active:
                _sharded(unit).reshard()
            self._follow()

    def _watch(self, names: Mapping[str, str], block: nn.Module, _args: object) -> None:
        """Take note of which of a block's gathered weights get a gradient: a sum of none is zero and says nothing."""
        for own, weight in block.named_parameters():
            if own in names and weight not in self._watched:
                self._watched.add(weight)
                weight.register_post_accumulate_grad_hook(partial(self._note, names[own]))

    def _note(self, name: str, _weight: Tensor) -> None:
        self._used.add(name)

    def _follow(self) -> None:
        for owner, name, part, own in self._elsewhere:
            setattr(owner, name, getattr(part, own))

    def _units(self, *, sees: bool) -> list[_Held]:
        return [self._rest, self._tower] if self._tower is not None and sees else [self._rest]


class _Held(nn.Module):
    """Modules whose weights are gathered by hand. Its forward pass only sets off that their gradients are added up."""

    def __init__(self, modules: list[nn.Module]) -> None:
        super().__init__()
        self.held = nn.ModuleList(modules)

    def forward(self, token_1: Tensor) -> Tensor:
        """Return the token; on its way back ``fully_shard`` takes the gradients that are there."""
        return token_1 * 1


def blocks_of(body: nn.Module) -> list[nn.Module]:
    """Return the layers of a language model: the list of modules that holds most of its weights.

    Raises:
        ModelError: there is none.
    """
    lists: list[nn.ModuleList] = [
        module for module in body.modules() if isinstance(module, nn.ModuleList) and len(module)
    ]
    if not lists:
        raise ModelError(f"{type(body).__name__} has no list of layers, which fsdp shares one by one: use ddp.")
    largest: nn.ModuleList = max(lists, key=_size)
    return list(largest)


def _size(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def idle_batch(pad_id: int) -> Batch:
    """Return what a process runs that has no pack left while others have: two tokens, no label, no image."""
    return Batch(
        ids_BT=torch.full((1, 2), pad_id),
        labels_BT=torch.full((1, 2), IGNORE),
        positions_BT=torch.arange(2)[None],
        segments_BT=torch.zeros(1, 2, dtype=torch.int64),
        slots=(),
        images=(),
        example_ids=(),
        trained_tokens=0,
        tokens=0,
    )


def _around(model: Model, blocks: list[nn.Module]) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return the modules outside of the blocks that have weights: the tower's, where it trains, and the rest."""
    inside = {module for block in blocks for module in block.modules()}
    tower: list[nn.Module] = []
    rest: list[nn.Module] = []
    for part, root in model.parts_and_head().items():
        trained = any(weight.requires_grad for weight in root.parameters())
        if part == "vision" and not trained:
            continue
        for module in root.modules():
            above = any(block in set(module.modules()) for block in blocks[:1])
            if module in inside or above or not list(module.parameters(recurse=False)):
                continue
            (tower if part == "vision" else rest).append(module)
    return tower, rest


def _elsewhere(network: nn.Module, held: list[nn.Module]) -> list[tuple[nn.Module, str, nn.Module, str]]:
    """Return (module, name, held module, name there) of each held weight that stands in a module besides."""
    known = set(held)
    places = {weight: (part, name) for part in held for name, weight in part.named_parameters(recurse=False)}
    return [
        (owner, name, *places[weight])
        for owner in network.modules()
        if owner not in known
        for name, weight in owner.named_parameters(recurse=False)
        if weight in places
    ]


def _held(modules: list[nn.Module], mesh: DeviceMesh, policy: MixedPrecisionPolicy) -> _Held:
    unit = _Held(modules)
    fully_shard(unit, mesh=mesh, mp_policy=policy)
    _sharded(unit).set_reshard_after_backward(False, recurse=False)
    return unit


def _add_up(module: nn.Module) -> None:
    """Sum gradients instead of taking their mean, also where a process did not use a weight."""
    sharded = _sharded(module)
    sharded.set_gradient_divide_factor(1.0)
    sharded.set_force_sum_reduction_for_comms(True)  # gloo knows no other
    sharded.set_reduce_scatter_unused_params(True, recurse=False)


def _sharded(module: nn.Module) -> FSDPModule:
    return cast(FSDPModule, module)


def _go_all_the_way_back(
    _body: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Let the way back begin at the words in every process, also where no image stands among them."""
    embeds_BTH = kwargs.get("inputs_embeds")
    if torch.is_grad_enabled() and isinstance(embeds_BTH, Tensor) and not embeds_BTH.requires_grad:
        return args, {**kwargs, "inputs_embeds": embeds_BTH.detach().requires_grad_()}
    return args, dict(kwargs)
