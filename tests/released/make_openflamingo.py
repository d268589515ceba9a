"""Writes ``openflamingo.json``: what OpenFlamingo's released network and training make of tiny random weights.

    PYTHONPATH=CHECKOUT_OF_TRIPTYCH python -m tests.released.make_openflamingo CHECKOUT_OF_OPEN_FLAMINGO

Released code: github.com/mlfoundations/open_flamingo at 655f693fbfa04cd6e9a987d960654624d48917cf, with torch 2.13.0
(CPU), transformers 4.35.1, tokenizers 0.14.1, open_clip 2.20.0, einops. Stubbed: torchvision (the transforms of a PIL
picture are written out below; none is flipped), timm, wandb, webdataset. Its weights are renamed as Otter's
``flamingo_pt2otter_hf.py`` renames them, and the tower's as transformers names them.
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

import torch
from PIL import Image
from torch import Tensor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, MptConfig, MptForCausalLM

from tests.released.drawn import picture, weight
from tests.released.flamingo_toys import png_of, toy_tokenizer
from tests.released.make_otter import PICTURES, TRANSFORMS, kept
from tests.released.making import rounded, write

SIDE = 28
TOWER = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 32, "head_width": 8, "patch_size": 14, "mlp_ratio": 2.0},
    "text_cfg": {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 2, "layers": 1},
}
WIDE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
LANGUAGES: dict[str, tuple[type, Any, str, int]] = {
    "llama": (LlamaForCausalLM, LlamaConfig(**WIDE, vocab_size=372, bos_token_id=1, eos_token_id=2), "llama", 4),
    "mpt": (
        MptForCausalLM,
        MptConfig(d_model=32, n_heads=4, n_layers=4, max_seq_len=256, vocab_size=275, no_bias=True),
        "neox",
        1,
    ),
    "neox": (GPTNeoXForCausalLM, GPTNeoXConfig(**WIDE, vocab_size=280, rotary_pct=0.5), "neox", 2),
}
"""Cross-attention before every fourth layer, as in OpenFlamingo-9B; before each, as in 3B; before each second, as in
4B, whose language model is RedPajama's GPT-NeoX."""
SEEN = {
    "apart": (["ab<image>cd ef<image>gh<image>"], [["P_1", "P_2", "P_3"]]),
    "shown": (
        ["<image>Output:a cat.<|endofchunk|><image>Output:the chair<|endofchunk|><image>Output:"],
        [["P_4", "P_3", "P_1"]],
    ),
    "adjacent": (["<image><image>Question:is it? Short answer:"], [["P_1", "P_2"]]),
    "two": (
        ["<image>Output:a cat.<|endofchunk|><image>Output:", "Question:(Is) it a cat? Look.<image>Short answer:"],
        [["P_4", "P_3"], ["P_2"]],
    ),
    "blind": (["Question:is it? Short answer:"], [[]]),
}
"""Batches: words, and pictures; filled up on the left as the released evaluation does, pictures with blank ones."""
CAPTIONS = (["P_1", " a cat on the chair "], ["P_2", "(Nobody) is there, the dog neither."])
PAGES = (
    (["Look here.", "A cat sits.", "The end, the cat."], [[0.1, 0.9, 0.2], [0.2, 0.1, 0.8]], ["P_3", "P_4"]),
    (
        ["One cat.", "Two.", "Three is a crowd."],
        [[0.9, 0.1, 0.1], [0.1, 0.3, 0.7], [0.1, 0.8, 0.0]],
        ["P_1", "P_2", "P_3"],
    ),
)
"""Documents as MMC4 has them: sentences, how alike pictures and sentences are, pictures."""


def stub(checkout: Path) -> None:
    """Let the released code be imported: what is not there is not called either, but for transforms of a picture."""

    def resize(size: int, interpolation: object = None) -> Any:
        def shortest(image: Image.Image) -> Image.Image:
            scale = size / min(image.size)
            sides = [size if side == min(image.size) else int(side * scale) for side in image.size]
            return image.resize((sides[0], sides[1]), Image.Resampling.BICUBIC)

        return shortest

    def crop(size: tuple[int, int] | int) -> Any:
        side = size if isinstance(size, int) else size[0]

        def centre(image: Image.Image) -> Image.Image:
            left, top = (round((each - side) / 2.0) for each in image.size)
            return image.crop((left, top, left + side, top + side))

        return centre

    names = (
        "torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.ops",
        "torchvision.ops.misc", "timm", "timm.models", "timm.models.layers", "timm.layers", "wandb", "webdataset",
        "webdataset.filters", "webdataset.tariterators", "braceexpand",
    )  # fmt: skip
    sys.modules.update({name: MagicMock(__spec__=None) for name in names})
    transforms = ModuleType("torchvision.transforms")
    steps = {
        **TRANSFORMS,
        "Resize": resize,
        "CenterCrop": crop,
        "RandomResizedCrop": MagicMock(),
        "RandomHorizontalFlip": lambda p: lambda images: images,
    }
    transforms.__dict__.update(steps)
    sys.modules["torchvision.transforms"] = sys.modules["torchvision"].transforms = transforms  # type: ignore[attr-defined]
    sys.path[:0] = [str(checkout), str(checkout / "open_flamingo" / "train")]
    import open_clip  # noqa: F401
    import open_flamingo.train.data
    import open_flamingo.train.train_utils

    open_flamingo.train.data.MIN_KB = -1


def renamed(name: str) -> str | None:
    """Return the name of a weight in a folder of transformers; None: it is held twice, or no part of it."""
    if "old_decoder_blocks" in name or "lang_encoder.gated_cross_attn_layers" in name or name == "vision_encoder.proj":
        return None
    if name.startswith("lang_encoder."):
        return name.replace(".ff.", ".feed_forward.")
    if name.startswith("perceiver.layers."):
        number, part, rest = name.removeprefix("perceiver.layers.").split(".", 2)
        return f"perceiver.layers.{number}.{rest if part == '0' else f'feed_forward.{rest}'}"
    if not name.startswith("vision_encoder."):
        return name
    pairs = {
        "class_embedding": "embeddings.class_embedding",
        "positional_embedding": "embeddings.position_embedding.weight",
        "conv1.weight": "embeddings.patch_embedding.weight",
        "ln_pre.": "pre_layrnorm.",
        "ln_post.": "post_layernorm.",
        "transformer.resblocks.": "encoder.layers.",
        ".ln_1.": ".layer_norm1.",
        ".ln_2.": ".layer_norm2.",
        ".attn.": ".self_attn.",
        ".mlp.c_fc.": ".mlp.fc1.",
        ".mlp.c_proj.": ".mlp.fc2.",
    }
    own = functools.reduce(lambda now, pair: now.replace(*pair), pairs.items(), name.removeprefix("vision_encoder."))
    return f"vision_encoder.vision_model.{own}"


def draw(network: Any) -> dict[str, list[int]]:
    """Give a network the weights of its folder's names, and return these with their shapes."""
    shapes: dict[str, list[int]] = {}
    tied = network.lang_encoder.config.tie_word_embeddings

    def drawn(name: str, shape: Any) -> Tensor:
        shapes[name] = list(shape)
        return weight(name, shape)

    with torch.no_grad():
        for name, value in network.state_dict().items():
            own = renamed(name)
            if own is None or (tied and own.endswith("lm_head.weight")):
                continue
            if "in_proj_" in own:
                kind = own.rsplit("_", 1)[1]
                shape = (value.shape[0] // 3, *value.shape[1:])
                parts = [drawn(own.replace(f"in_proj_{kind}", f"{part}_proj.{kind}"), shape) for part in "qkv"]
                value.copy_(torch.cat(parts))
            else:
                value.copy_(drawn(own, value.shape))
    return shapes


def asked(network: Any, prepare: Any, tokenizer: Any, words: list[str], pictures: list[list[str]]) -> dict[str, Any]:
    """Return ids, logits and the reply with media and words cached."""
    tokenizer.padding_side = "left"
    given = tokenizer(words, return_tensors="pt", padding="longest")
    ids, mask = given["input_ids"], given["attention_mask"]
    most = max(1, *map(len, pictures))
    blank = torch.zeros(3, SIDE, SIDE)
    rows = [[prepare(picture(*PICTURES[name])) for name in row] + [blank] * (most - len(row)) for row in pictures]
    pixels = torch.stack([torch.stack(row) for row in rows])[:, :, None]
    with torch.no_grad():
        logits = network(vision_x=pixels, lang_x=ids, attention_mask=mask).logits
        made = network.generate(
            pixels, ids, mask, max_new_tokens=8, eos_token_id=-1, pad_token_id=0, do_sample=False, use_cache=True
        )
    return {
        "ids": ids.tolist(),
        "mask": mask.tolist(),
        "logits": kept(logits, mask),
        "greedy": made[:, ids.shape[1] :].tolist(),
    }


def trained(network: Any, prepare: Any, tokenizer: Any) -> dict[str, Any]:
    """Run one step of the released training on one batch of captions and one of pages."""
    from open_flamingo.train import data, train_utils

    images = torch.stack([prepare(picture(*PICTURES[name])) for name, _ in CAPTIONS])
    captions = [images, data.preprocess_laion_text([words for _, words in CAPTIONS], tokenizer)]
    pages = []
    for words, alike, names in PAGES:
        pictures = [{"image_base64": png_of(*PICTURES[name])} for name in names]
        page = {"text_list": words, "similarity_matrix": alike, "image_info": pictures}
        pages.append(data.preprocess_interleaved([json.dumps(page)], tokenizer, prepare, 0.24, 1, 3, max_tokens=64))
    batches = [captions], [[torch.stack([page[0] for page in pages]), [page[1] for page in pages]]]
    steps: list[dict[str, Any]] = []

    def model(vision_x: Tensor, lang_x: Tensor, attention_mask: Tensor, labels: Tensor) -> tuple[Tensor]:
        with torch.no_grad():
            found = network(vision_x=vision_x, lang_x=lang_x, attention_mask=attention_mask, labels=labels)
        steps.append(
            {
                "ids": lang_x.tolist(),
                "mask": attention_mask.tolist(),
                "labels": labels.tolist(),
                "shape": list(vision_x.shape),
                "pixels": rounded(vision_x.flatten()[:: vision_x.numel() // 20]),
                "logits": kept(found.logits, attention_mask),
                "loss": rounded(found.loss),
            }
        )
        return (found.loss.requires_grad_(),)

    model.train, model.parameters = lambda: None, list  # type: ignore[attr-defined]
    args = SimpleNamespace(
        num_epochs=1, precision="fp32", fsdp=False, rank=1, gradient_accumulation_steps=1, loss_multiplier_laion=1.0,
        loss_multiplier_mmc4=1.0, freeze_lm_embeddings=True, logging_steps=10, report_to_wandb=False,
    )  # fmt: skip
    loaders = [type("Loader", (list,), {"num_batches": 1})(batch) for batch in batches]
    step = SimpleNamespace(step=lambda: None, zero_grad=lambda **_: None)
    train_utils.train_one_epoch(args, model, 0, *loaders, tokenizer, step, step, torch.device("cpu"), None)
    return {"captions": steps[0], "pages": steps[1]}


def main(checkout: Path) -> None:
    """Write the file."""
    stub(checkout.resolve())
    os.chdir(tempfile.mkdtemp())
    import open_clip
    from open_flamingo import create_model_and_transforms

    Path("towers").mkdir()
    Path("towers/toy.json").write_text(json.dumps(TOWER))
    open_clip.add_model_config("towers")
    said: dict[str, Any] = {
        "side": SIDE, "pictures": PICTURES, "seen": SEEN, "captions": CAPTIONS, "pages": PAGES,
        "mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD, "networks": {},
    }  # fmt: skip
    for kind, (language, config, tokens, every) in LANGUAGES.items():
        language(config).save_pretrained(kind)
        toy_tokenizer(tokens).save_pretrained(kind)
        network, prepare, tokenizer = create_model_and_transforms(
            "toy", "", f"./{kind}", f"./{kind}", cross_attn_every_n_layers=every
        )
        network.eval()
        shapes = draw(network)
        said["networks"][kind] = {
            "every": every,
            "tokens": tokens,
            "text": json.loads(network.lang_encoder.config.to_json_string()),
            "shapes": shapes,
            "added": {token: tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens},
            "seen": {name: asked(network, prepare, tokenizer, *batch) for name, batch in SEEN.items()},
            "trained": trained(network, prepare, tokenizer),
        }
    write("openflamingo", said)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
