"""Training on one GPU, measured here and now: MFU of a large LLaVA, memory of QLoRA, a packed step of every family.

    python benchmarks/train_gpu.py --out result.json
    python benchmarks/train_gpu.py mfu --pack-tokens 8192 --steps 8
    python benchmarks/train_gpu.py --toy

Weights are random, so that nothing is downloaded; shapes are published ones (Llama-3-8B, CLIP ViT-L/14 at 336 px). What
is said is random too: speed and memory do not depend on it. Images count as the tokens they are; their features come
from the cache, as a frozen tower's do. Without a GPU there is nothing to measure, and one line says so; ``--toy`` then
shows that every section runs, on shapes that mean nothing, and so do its numbers.

Sections: ``mfu`` (8 billion parameters in bfloat16, LoRA, conversations packed to 8,192 tokens), ``attention`` (one
layer of it, forth and back: the pack under a mask, conversation by conversation, by the kernel for packs), ``qlora``
(as ``mfu`` with the language model in 4 bits: peak memory; left out without bitsandbytes) and ``families`` (the samples
of every family, a packed step each).

MFU counts the products of the forward pass and of what the backward pass must compute (a frozen weight has no gradient
of its own: 4 instead of 6 operations a parameter and token), attention within conversations alone, the head where
something is supervised; against the card's dense bfloat16 peak.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.optim import AdamW
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from triptych.core import plugins
from triptych.data.batch import IGNORE, Batch, block_mask, collate
from triptych.data.template import Encoded
from triptych.models.attention.packs import PackAttention
from triptych.models.attention.segments import attend_each, attend_packed, kernel_agrees, segments_on
from triptych.models.family import Family, Woven
from triptych.train.parallel.blocks import attending_again

PEAK_TFLOPS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "4090": 165.0}
"""Dense bfloat16, by the makers' sheets; a part of the device's name -> its peak."""
SUPERVISED_SHARE = 0.17
"""Of tokens, as in the Mantis chat examples at 576 tokens an image."""
RANK = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says."""

    pack_tokens: int
    steps: int
    device: torch.device
    toy: bool = False
    """Shapes that a CPU computes in a moment."""

    @property
    def conversation_tokens(self) -> int:
        """Of each conversation of a pack."""
        return 32 if self.toy else 2048

    @property
    def config(self) -> LlavaConfig:
        """The shapes of the large model."""
        return toy_config() if self.toy else large_config()


def large(asked: Asked, *, four_bits: bool) -> LlavaForConditionalGeneration:
    """Return a LLaVA of random weights on the GPU, with adapters on its language model."""
    network = build(asked.config, asked.device).requires_grad_(False)
    if four_bits:
        in_four_bits(network.model.language_model, asked.device)
    plan = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")
    inject_adapter_in_model(plan, network.model.language_model)
    again = partial(attending_again, network.config.text_config)
    network.model.language_model.gradient_checkpointing_enable({"use_reentrant": False, "context_fn": again})
    return network.train()


def large_config() -> LlavaConfig:
    """Return the shapes of Llama-3-8B with CLIP-L at 336 px."""
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            image_size=336,
            patch_size=14,
        ).to_dict(),
        text_config=LlamaConfig(
            vocab_size=128_320,
            hidden_size=4096,
            intermediate_size=14_336,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
            max_position_embeddings=8192,
            rope_theta=500_000.0,
        ).to_dict(),
        image_token_index=128_256,
    )


def toy_config() -> LlavaConfig:
    """Return shapes that only show that all runs."""
    small: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    return LlavaConfig(
        vision_config=CLIPVisionConfig(**small, image_size=28, patch_size=14).to_dict(),
        text_config=LlamaConfig(**small, vocab_size=320, num_key_value_heads=2).to_dict(),
        image_token_index=256,
    )


def build(config: LlavaConfig, device: torch.device) -> LlavaForConditionalGeneration:
    """Return a network of random weights in bfloat16 on the GPU, never in the machine's memory."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            return LlavaForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)


def in_four_bits(body: nn.Module, device: torch.device) -> None:
    """Put every linear layer of a module into NF4, in place."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    for name, layer in list(body.named_modules()):
        if isinstance(layer, nn.Linear):
            small = Linear4bit(
                layer.in_features, layer.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4"
            )
            small.weight = Params4bit(layer.weight.data.cpu(), requires_grad=False, quant_type="nf4")
            body.set_submodule(name, small.to(device))


def mfu(asked: Asked) -> dict[str, object]:
    """Return the share of the card's peak that a packed LoRA step of the large model reaches."""
    return _large_step(asked, four_bits=False)


def attention(asked: Asked) -> dict[str, object]:
    """Return the seconds of one layer's attention forth and back, each way that there is, and its share of a mask's."""
    text = asked.config.text_config
    heads, shared = text.num_attention_heads, text.num_key_value_heads
    size = text.hidden_size // heads
    batch = drawn_pack(asked, asked.pack_tokens, range(asked.config.image_token_index))
    segments = segments_on(batch.segments_BT, asked.device)
    mask = block_mask(batch.segments_BT).to(asked.device)
    query, key, value = (
        torch.randn(1, number, batch.ids_BT.shape[1], size, device=asked.device, dtype=torch.bfloat16).requires_grad_()
        for number in (heads, shared, shared)
    )
    whole: Mapping[str, None] = {"scaling": None, "window": None}
    ways: dict[str, Callable[[], Tensor]] = {
        "mask": partial(scaled_dot_product_attention, query, key, value, mask, enable_gqa=heads != shared),
        "one_by_one": partial(attend_each, query, key, value_BKTD=value, segments=segments.each, **whole),
    }
    if segments.edges_N is not None and kernel_agrees(
        asked.device, torch.bfloat16, heads=heads, shared=shared, size=size, windowed=False
    ):
        ways["kernel"] = partial(attend_packed, query, key, value_BKTD=value, segments=segments, **whole)

    def step(way: Callable[[], Tensor]) -> None:
        way().sum().backward()

    found = {name: timed(partial(step, way), asked)[0] for name, way in ways.items()}
    shares = {f"{name}_of_mask": round(seconds / found["mask"], 3) for name, seconds in found.items() if name != "mask"}
    return {**{f"{name}_s": round(seconds, 5) for name, seconds in found.items()}, **shares}


def qlora(asked: Asked) -> dict[str, object]:
    """Return the same with the language model in 4 bits; what counts here is the memory."""
    if find_spec("bitsandbytes") is None:
        return {"skipped": "bitsandbytes is not installed: pip install bitsandbytes"}
    return _large_step(asked, four_bits=True)


def _large_step(asked: Asked, *, four_bits: bool) -> dict[str, object]:
    with torch.device("meta"):
        layers = LlavaForConditionalGeneration(asked.config).model.language_model.layers
        body = sum(weight.numel() for weight in layers.parameters() if weight.ndim == 2)
    network = large(asked, four_bits=four_bits)
    text = network.config.text_config
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = AdamW(weights, lr=1e-5, fused=True)
    packs = PackAttention(network.model.language_model, text)
    batch = drawn_pack(asked, asked.pack_tokens, range(asked.config.image_token_index))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        embeds_BTH = network.get_input_embeddings()(batch.ids_BT.to(asked.device))
        positions_ABT = batch.positions_BT[None].to(asked.device)
        hidden_BTH = packs.hidden(embeds_BTH, batch.segments_BT, positions_ABT=positions_ABT)
        learnt = batch.labels_BT[:, 1:] != IGNORE
        logits_NV = network.lm_head(hidden_BTH[:, :-1][learnt.to(asked.device)])
        targets_N = batch.labels_BT[:, 1:][learnt].to(asked.device)
        torch.nn.functional.cross_entropy(logits_NV.float(), targets_N).backward()
        optimizer.step()

    step_s, peak_gib = timed(step, asked)
    flops = step_flops(text, batch, body=body)
    peak = next((peak for name, peak in PEAK_TFLOPS.items() if name in name_of(asked.device)), None)
    return {
        "body_parameters_count": body,
        "pack_tokens": asked.pack_tokens,
        "conversation_tokens": asked.conversation_tokens,
        "step_s": round(step_s, 4),
        "tokens_per_s": round(batch.tokens / step_s),
        "peak_memory_gib": peak_gib,
        "model_tflops": round(flops / step_s / 1e12, 1),
        "mfu": None if peak is None else round(flops / step_s / 1e12 / peak, 4),
        "recomputed": "activations of every block, not counted as work",
    }


def step_flops(text: LlamaConfig, batch: Batch, *, body: int) -> float:
    """Return the operations of a step of LoRA: 4 a frozen weight and token, 12 a pair of positions and channel."""
    width = text.num_attention_heads * (text.hidden_size // text.num_attention_heads)
    lengths = torch.bincount(batch.segments_BT[batch.segments_BT >= 0]).tolist()
    pairs = sum(length * (length + 1) / 2 for length in lengths)
    head = 4 * batch.trained_tokens * text.hidden_size * text.vocab_size
    return 4 * body * batch.tokens + 12 * text.num_hidden_layers * width * pairs + head


def drawn_pack(asked: Asked, tokens: int, words: Sequence[int]) -> Batch:
    """Return a pack of random conversations, the last share of each supervised."""
    random, conversations, length = Random(0), [], asked.conversation_tokens
    for number in range(tokens // length):
        ids = tuple(random.choice(words) for _ in range(length))
        learnt = round(SUPERVISED_SHARE * length)
        trained = (False,) * (length - learnt) + (True,) * learnt
        conversations.append(Encoded(str(number), ids, trained, (), ""))
    return collate([conversations], pad_id=0)


def families(asked: Asked) -> dict[str, object]:
    """Return a packed step's time of each family's samples: that all of them run there, small as they are."""
    found: dict[str, object] = {}
    for name in plugins.names("family"):
        for sample, make in plugins.find("family", name, expected=Family).samples.items():
            model = make(0)
            model.network.to(asked.device, torch.bfloat16).train()
            words = [number for number in range(len(model.tokenizer)) if number != model.image_token_id]
            batch = drawn_pack(asked, 2 * asked.conversation_tokens, words)
            weights = [weight for weight in model.network.parameters() if weight.requires_grad]
            optimizer = AdamW(weights, lr=1e-5, fused=True)

            def step(model: object = model, batch: Batch = batch, optimizer: AdamW = optimizer) -> None:
                optimizer.zero_grad(set_to_none=True)
                woven: Woven = model.weave(batch, [])  # type: ignore[attr-defined]
                hidden_BTH = model.hidden(woven)  # type: ignore[attr-defined]
                learnt = batch.labels_BT[:, 1:] != IGNORE
                logits_NV = model.head(hidden_BTH[:, :-1][learnt.to(asked.device)])  # type: ignore[attr-defined]
                targets_N = batch.labels_BT[:, 1:][learnt].to(asked.device)
                torch.nn.functional.cross_entropy(logits_NV.float(), targets_N).backward()
                optimizer.step()

            step_s, peak_gib = timed(step, asked)
            found[f"{name}_{sample}"] = {"step_s": round(step_s, 5), "peak_memory_gib": peak_gib}
    return found


def timed(step: Callable[[], None], asked: Asked) -> tuple[float, float | None]:
    """Return the median seconds of a step, after two to warm up, and the peak of a GPU's memory in GiB."""
    gpu = asked.device.type == "cuda"
    step()
    step()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(asked.steps):
        if gpu:
            torch.cuda.synchronize()
        begin = time.perf_counter()
        step()
        if gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return median(seconds), round(torch.cuda.max_memory_allocated() / 2**30, 3) if gpu else None


def name_of(device: torch.device) -> str:
    """Return what a device is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


SECTIONS: Mapping[str, Callable[[Asked], dict[str, object]]] = {
    "mfu": mfu,
    "attention": attention,
    "qlora": qlora,
    "families": families,
}


def main() -> None:
    """Measure what the command line asks for and write it as JSON."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; none: all of them")
    options.add_argument("--pack-tokens", type=int, default=8192, help="of the large model's row")
    options.add_argument("--steps", type=int, default=8, help="that are measured; the median counts")
    options.add_argument("--toy", action="store_true", help="show that all runs, on a CPU too; numbers mean nothing")
    options.add_argument("--out", type=Path, help="a file for the JSON, instead of stdout")
    said = options.parse_args()
    if unknown := sorted(set(said.sections) - SECTIONS.keys()):
        options.error(f"no section is called {unknown[0]!r}; there are: {', '.join(SECTIONS)}")
    gpu = torch.cuda.is_available()
    if not (gpu or said.toy):
        sys.stderr.write("skipped: no GPU here; this benchmark measures nothing without one.\n")
        sys.exit(3)
    device = torch.device("cuda" if gpu else "cpu")
    asked = Asked(128, 1, device, toy=True) if said.toy else Asked(said.pack_tokens, said.steps, device)
    result: dict[str, object] = {"gpu": name_of(device), "torch": torch.__version__, "toy": said.toy}
    for name in said.sections or SECTIONS:
        result[name] = SECTIONS[name](asked)
        if gpu:
            torch.cuda.empty_cache()
    text = json.dumps(result, indent=2) + "\n"
    if said.out is None:
        sys.stdout.write(text)
    else:
        said.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
