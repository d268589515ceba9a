"""Writes ``otter.json``: what Otter's released network, data set and training make of tiny random weights.

    PYTHONPATH=CHECKOUT_OF_TRIPTYCH python -m tests.released.make_otter CHECKOUT_OF_OTTER

Released code: github.com/Luodian/Otter at 1e7eb9a6fb12ef410082e796c463b99495637b85, with torch 2.13.0 (CPU),
transformers 4.35.1, tokenizers 0.14.1, accelerate 0.24.1, peft 0.5.0, pandas 2.2.2, einops. Stubbed: torchvision (its
three transforms of a PIL picture are written out below), wandb, deepspeed, webdataset, braceexpand. The resampler and
cross-attention are the released classes with smaller arguments; their published sizes are kept as shapes alone.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas
import torch
from PIL import Image
from torch import Tensor

from tests.released.flamingo_toys import png_of, projected, toy_tokenizer, write_instructions
from tests.released.making import fill, rounded, shapes_of, write

SIDE = 224
SMALL = {"resampler_depth": 2, "resampler_latents": 4, "cross_attn_heads": 2, "cross_attn_head_dim": 16}
VISION = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "image_size": SIDE, "patch_size": 56, "hidden_act": "quick_gelu",
}  # fmt: skip
LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "_name_or_path": "toy-llama", "vocab_size": 376,
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 4, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
}  # fmt: skip
MPT = {
    "model_type": "mpt", "architectures": ["MPTForCausalLM"], "_name_or_path": "", "vocab_size": 288, "d_model": 32,
    "hidden_size": 32, "n_heads": 4, "n_layers": 4, "max_seq_len": 256, "no_bias": True, "learned_pos_emb": False,
    "attn_config": {"alibi": True, "attn_impl": "torch", "attn_pdrop": 0}, "tie_word_embeddings": True,
    "use_cache": False, "tokenizer_name": "EleutherAI/gpt-neox-20b",
}  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {
    "llama": {"text_config": LLAMA, "cross_attn_every_n_layers": 2},
    "mpt": {"text_config": MPT, "cross_attn_every_n_layers": 1},
    "mpt_of_6_heads": {
        "text_config": MPT | {"d_model": 48, "hidden_size": 48, "n_heads": 6},
        "cross_attn_every_n_layers": 4,
    },
    "llama_video": {"text_config": LLAMA, "cross_attn_every_n_layers": 4, "max_num_frames": 8},
}
PICTURES = {"P_1": (1, 40, 30), "P_2": (2, 28, 28), "P_3": (3, 31, 77), "P_4": (4, 100, 20)}
ROWS = {
    "X_1": ("What is the cat doing?", "It sits (quietly) on the chair.", ["P_1"], []),
    "X_2": ("(Count) them!", "Two\nlines, the second.", ["P_2"], []),
    "X_3": ("Is this a cat?", "No.", ["P_3"], ["X_1", "X_2"]),
    "X_4": ("?!", "A caf\u00e9 \u2603.", ["P_4", "P_1"], []),
    "X_5": ("How many?", "Four cats\nand a dog.", ["P_1", "P_2", "P_3", "P_4"], []),
    "X_6": ("Say hi.", "Hi!", [], ["X_7"]),
    "X_7": ("Who are the two?", "Tom and Ann.", [], []),
}
"""Question, answer, pictures, context; the last two of text alone."""
GROUPS = {
    "one": ("IMAGE_TEXT", ["X_1", "X_2"]),
    "pair": ("IMAGE_TEXT", ["X_4"]),
    "rounds": ("IMAGE_TEXT", ["X_3"]),
    "shown": ("IMAGE_TEXT_IN_CONTEXT", ["X_3"]),
    "video": ("VIDEO_TEXT", ["X_5"]),
    "text": ("TEXT_ONLY", ["X_6", "X_7"]),
}
"""Batches of the data set: its task group, and the rows. Together they need one shape of pictures."""
SEEN = {
    "apart": ("ab<image>cd ef<image>gh<image>", 1, ["P_1", "P_2", "P_3"]),
    "shown": (
        "<image>User: a? GPT:<answer> b<|endofchunk|><image>User: c? GPT:<answer> d e<|endofchunk|>"
        "<image>User: the cat? GPT:<answer> yes", 1, ["P_4", "P_3", "P_1"],
    ),
    "adjacent": ("<image><image>User: a cat? GPT:<answer> yes", 1, ["P_1", "P_2"]),
    "frames": ("<image>User: a cat? GPT:<answer> yes", 3, ["P_1", "P_2", "P_3"]),
    "two_films": ("Look.<image>User: a cat? GPT:<answer> yes<image>no", 2, ["P_1", "P_2", "P_3", "P_4"]),
    "blind": ("User: a cat? GPT:<answer> yes", 1, []),
}  # fmt: skip
"""Rows for the network alone: words, frames of a medium, pictures."""


def compose(steps: list[Any]) -> Any:
    """Return torchvision's transform of several."""
    return lambda value: functools.reduce(lambda now, step: step(now), steps, value)


def normalise(mean: Any, std: Any) -> Any:
    """Return torchvision's transform of pixels to a mean of zero."""
    return lambda pixels: (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


TRANSFORMS: dict[str, Any] = {
    "Compose": compose,
    "ToTensor": lambda: lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255),
    "Normalize": normalise,
    "InterpolationMode": SimpleNamespace(BICUBIC="bicubic"),
}
"""Those of torchvision that a picture of any size can be given to."""


def stub(checkout: Path) -> None:
    """Let the released code be imported: what is not there is not called either, but for three transforms."""

    def resize(size: tuple[int, int], interpolation: object) -> Any:
        return lambda image: image.resize(size[::-1], Image.Resampling.BICUBIC)

    vision = ModuleType("torchvision")
    vision.transforms = SimpleNamespace(**TRANSFORMS, Resize=resize)  # type: ignore[attr-defined]
    sys.modules["torchvision"] = vision
    sys.path[:0] = [str(checkout), str(checkout / "src")]
    import peft  # noqa: F401
    from accelerate import Accelerator  # noqa: F401
    from transformers import LlamaForCausalLM  # noqa: F401

    names = ("wandb", "deepspeed", "webdataset", "webdataset.filters", "webdataset.tariterators", "braceexpand")
    sys.modules.update(dict.fromkeys(names, MagicMock(__spec__=None)))
    import pipeline.train.instruction_following  # noqa: F401

    for name in (*names, "torchvision"):
        del sys.modules[name]


def shrink(released: ModuleType) -> None:
    """Give the released blocks smaller arguments than they are called with."""
    blocks = released.OtterPerceiverResampler, released.OtterGatedCrossAttentionBlock
    heads = {"heads": SMALL["cross_attn_heads"], "dim_head": SMALL["cross_attn_head_dim"]}

    def resampler(dim: int, **given: Any) -> Any:
        depth, latents = SMALL["resampler_depth"], SMALL["resampler_latents"]
        return blocks[0](dim=VISION["hidden_size"], depth=depth, num_latents=latents, **heads, **given)

    def gated(dim_visual: int, **given: Any) -> Any:
        return blocks[1](dim_visual=VISION["hidden_size"], **heads, **given)

    released.OtterPerceiverResampler, released.OtterGatedCrossAttentionBlock = resampler, gated


def pixels_of(data: Any, names: list[str], frames: int) -> Tensor:
    """Return [1, T, F, C, H, W]; of no pictures a blank one, as the released data set has it."""
    if not names:
        return torch.zeros(1, 1, 1, 3, SIDE, SIDE)
    return data.process_images(names)[1].unflatten(0, (-1, frames))[None]


def kept(logits_BTV: Tensor, mask_BT: Tensor) -> list[list[float]]:
    """Return two fixed sums of the logits at each position that is no padding."""
    rows = zip(projected(logits_BTV), mask_BT, strict=True)
    return [rounded(row[mask.bool()].flatten()) for row, mask in rows]


def seen(network: Any, pixels: Tensor, ids: Tensor, mask: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
    """Return the logits of every position, projected, and the loss."""
    network.eval()
    with torch.no_grad():
        found = network(vision_x=pixels, lang_x=ids, attention_mask=mask, labels=labels)
    said = {"logits": kept(found.logits, mask)}
    return said if labels is None else said | {"loss": rounded(found.loss)}


def greedy(network: Any, pixels: Tensor, ids: Tensor, cached: bool) -> list[int]:
    """Return the first eight ids of the reply; the released stop is kept from ending it."""
    network.eoc_token_id = None
    made = network.generate(pixels, ids, torch.ones_like(ids), max_new_tokens=8, use_cache=cached, pad_token_id=0)
    return made[0, ids.shape[1] :].tolist()


def write_rows(folder: Path) -> None:
    """Write the data set's files."""
    encoded = [png_of(*sizes) for sizes in PICTURES.values()]
    pandas.DataFrame({"base64": encoded}, index=list(PICTURES)).to_parquet(folder / "X.parquet")
    write_instructions(folder, ROWS, GROUPS)


def arguments(tokenizer: Any, form: str) -> Any:
    """Return what the released data set and training are told."""
    return SimpleNamespace(
        tokenizer=tokenizer, keep_symbols=True, seed=42, patch_image_size=SIDE, max_seq_len=512, resample_frames=3,
        instruction_format=form, model_name="otter", populate_rel_ins=False, rank=0, report_to_wandb=False,
        with_task_description=False, gradient_accumulation_steps=1, total_training_steps=1, remove_answer_token=False,
        remove_eos_token=False, mask_lm_head=False, save_steps_interval=-1, logging_steps=1, num_epochs=1,
        distributed_type="NO", batch_size=1, world_size=1,
    )  # fmt: skip


def data_set(folder: Path, name: str, args: Any) -> Any:
    """Return the released data set of one of ``GROUPS``."""
    from pipeline.mimicit_utils.mimicit_dataset import MimicitDataset

    paths = {
        "mimicit_path": "X_instructions.json",
        "train_config_path": f"{name}_train.json",
        "images_path": "X.parquet",
    }
    return MimicitDataset(args, {name: {key: str(folder / path) for key, path in paths.items()}}, GROUPS[name][0])


def trained(network: Any, folder: Path, name: str, args: Any) -> dict[str, Any]:
    """Run one step of the released training on one batch; return ids, labels, loss and a gradient."""
    from accelerate import Accelerator
    from pipeline.train import instruction_following as training

    data = data_set(folder, name, args)
    batch = data.collate([data[at] for at in range(len(data))])
    pixels = batch["net_input"]["patch_images"].clone()
    given: dict[str, Any] = {}

    def noted(
        _args: Any, model: Any, _tokenizer: Any, images: Tensor, ids: Tensor, mask: Tensor, labels: Tensor, *rest: Any
    ) -> Tensor:
        given.update(ids=ids.clone(), mask=mask.clone(), labels=labels.clone())
        given["loss"] = forward_pass(_args, model, _tokenizer, images, ids, mask, labels, *rest)
        return given["loss"]

    forward_pass, training.forward_pass = training.forward_pass, noted
    network.requires_grad_(True)
    network.zero_grad()
    grads: dict[str, float] = {}

    def measure() -> None:
        grads.update(
            {key: float(value.grad.norm()) for key, value in network.named_parameters() if value.grad is not None}
        )

    optimizer, schedule = (
        SimpleNamespace(step=measure, zero_grad=lambda: None, param_groups=[{"lr": 0}]),
        SimpleNamespace(step=lambda: None),
    )
    accelerator = Accelerator(cpu=True)
    accelerator.clip_grad_norm_ = lambda *_: None
    loader = SimpleNamespace(dataset=data)
    loader = type("Loader", (list,), {"dataset": data})([batch])
    training.train_one_epoch(
        args, network, 0, [loader], args.tokenizer, optimizer, schedule, torch.device("cpu"), accelerator, None
    )
    training.forward_pass = forward_pass
    network.zero_grad(set_to_none=True)
    found = seen(network, pixels, given["ids"], given["mask"], given["labels"])
    assert abs(found["loss"] - float(given["loss"])) < 1e-5
    return {
        "shape": list(pixels.shape),
        "pixels": rounded(pixels.flatten()[:: max(1, pixels.numel() // 40)]),
        "ids": given["ids"].tolist(),
        "mask": given["mask"].tolist(),
        "labels": given["labels"].tolist(),
        "grads": {
            key: rounded(value)
            for key, value in grads.items()
            if key.endswith(("latents", "3.gated_cross_attn_layer.attn.to_kv.weight"))
        },
        **found,
    }


def main(checkout: Path) -> None:
    """Write the file."""
    torch.manual_seed(0)
    stub(checkout.resolve())
    os.chdir(tempfile.mkdtemp())
    folder = Path.cwd()
    toy_tokenizer("llama").save_pretrained("toy-llama")
    toy_tokenizer("neox").save_pretrained("mosaicml/mpt-7b-instruct")
    from otter_ai.models.otter import modeling_otter as released
    from otter_ai.models.otter.configuration_otter import OtterConfig

    said: dict[str, Any] = {
        "side": SIDE,
        "pictures": PICTURES,
        "rows": ROWS,
        "groups": GROUPS,
        "seen": SEEN,
        "small": SMALL,
    }
    with torch.device("meta"):
        whole = released.OtterForConditionalGeneration(
            OtterConfig(VISION | {"hidden_size": 1024}, dict(LLAMA), 4, max_num_frames=128)
        )
    said["published"] = {
        name: shape for name, shape in shapes_of(whole).items() if "perceiver" in name or "gated" in name
    }
    shrink(released)
    write_rows(folder)
    said["networks"] = {}
    for kind, settings in NETWORKS.items():
        config = OtterConfig(
            dict(VISION),
            json.loads(json.dumps(settings["text_config"])),
            **{k: v for k, v in settings.items() if k != "text_config"},
        )
        network = released.OtterForConditionalGeneration(config).float().eval()
        tokenizer = network.text_tokenizer
        mine: dict[str, Any] = {
            "config": json.loads(config.to_json_string(use_diff=False)),
            "shapes": fill(network),
        }
        mine["tokens"] = {token: tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens}
        args = arguments(tokenizer, "simple")
        data = data_set(folder, "one", args)
        said["mean"], said["std"] = list(data.mean), list(data.std)
        mine["seen"] = {}
        for name, (words, frames, pictures) in SEEN.items():
            ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(words, add_special_tokens=False)["input_ids"]]])
            pixels = pixels_of(data, pictures, frames)
            mine["seen"][name] = seen(network, pixels, ids, torch.ones_like(ids)) | {"ids": ids[0].tolist()}
            if not kind.startswith("mpt_"):
                stop = network.eoc_token_id
                mine["seen"][name]["greedy"] = greedy(network, pixels, ids, cached=False)
                mine["seen"][name]["forgetful"] = greedy(network, pixels, ids, cached=True)
                network.eoc_token_id = stop
        batches = GROUPS if kind in ("llama", "mpt") else ("one", "video")
        mine["trained"] = {name: trained(network, folder, name, args) for name in batches}
        if kind in ("llama", "mpt"):
            mine["other_forms"] = {
                form: {
                    name: [each["source"].tolist() for each in data_set(folder, name, arguments(tokenizer, form))]
                    for name in ("one", "shown")
                }
                for form in ("llama2", "idefics")
            }
        said["networks"][kind] = mine
    write("otter", said)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
