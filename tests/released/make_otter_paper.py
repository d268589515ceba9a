"""Writes ``otter_paper.json``: the data set and the labels of Otter's code of its papers' time.

    PYTHONPATH=CHECKOUT_OF_TRIPTYCH python -m tests.released.make_otter_paper CHECKOUT_OF_OTTER

Released code: github.com/Luodian/Otter at 4d3c91a1165f507a2c989ad850b7eb5e92c8dc0c (July 2023), the last with one
loader for each subset of MIMIC-IT. Versions and stubs are those of ``make_otter.py``. Two things are put in place of
released ones: the toy tokenizer of Llama for the slow one, and no cleaning of words (it draws the case of a question's
first letter).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from tests.released.flamingo_toys import png_of, toy_tokenizer, write_instructions
from tests.released.make_otter import LLAMA, MPT, PICTURES, SIDE, SMALL, VISION, seen, shrink, stub
from tests.released.making import fill, write

ROWS = {
    "LACONV_1_0": ("What is the cat doing?", "It sits on the chair.", ["P_1"], []),
    "LACONV_1_1": ("Is it a cat?", "Yes.", ["P_1"], ["LACONV_1_0"]),
    "LACR_I2I_1": ("How many?", "Four.", ["P_2"], []),
    "LACR_I2I_2": ("(why) is that?", "A cat is there.", ["P_3"], []),
    "LACR_I2I_3": ("Is this a cat?", "No.", ["P_4"], ["LACR_I2I_1", "LACR_I2I_2"]),
    "SD_1": ("What is not the same?", "The chair is gone.", ["P_1", "P_2"], []),
    "DC_1": ("What is there?", "A cat.", ["P_1", "P_2", "P_3"], []),
    "TXT_1": ("Who are the two?", "Tom and Ann.", [], []),
    "X_1": ("What is this?", "A cat.", ["P_3"], []),
}
GROUPS = {
    "one": ("", ["X_1", "LACR_I2I_1"]),
    "shown": ("", ["LACR_I2I_3"]),
    "rounds": ("", ["LACONV_1_1"]),
    "pair": ("", ["SD_1"]),
    "video": ("", ["DC_1"]),
    "text": ("", ["TXT_1"]),
}
NETWORKS = {"llama": (LLAMA, 2), "mpt": (MPT, 1)}


def write_rows(folder: Path) -> None:
    """Write the data set's files, as they were then."""
    (folder / "X.json").write_text(json.dumps({name: png_of(*sizes) for name, sizes in PICTURES.items()}))
    write_instructions(folder, ROWS, GROUPS)


def trained(network: Any, folder: Path, name: str) -> dict[str, Any]:
    """Run one step of the released training on one batch; return ids, labels, logits and loss."""
    from pipeline.mimicit_utils.mimicit_dataset import MimicitDataset
    from pipeline.train.instruction_following import train_one_epoch

    tokenizer = network.text_tokenizer
    args = SimpleNamespace(
        task="pretrain", tokenizer=tokenizer, max_src_length=256, max_tgt_length=256, seed=42, patch_image_size=SIDE,
        num_epochs=1, rank=1, mask_lm_head=False, report_to_wandb=False, gradient_accumulation_steps=1, logging_steps=1,
    )  # fmt: skip
    files = ("X_instructions.json", "X.json", f"{name}_train.json")
    data = MimicitDataset(args, *([str(folder / file)] for file in files), status_list=["new"])
    data.pre_question, data.pre_answer = (lambda words, _most: words), (lambda words, _most: words)
    if name == "video":
        data.resample_frames = lambda images, _count: images
    batch = data.collate([data[at] for at in range(len(data))])
    given: dict[str, Tensor] = {}

    def model(vision_x: Tensor, lang_x: Tensor, attention_mask: Tensor, labels: Tensor) -> tuple[Tensor]:
        given.update(pixels=vision_x, ids=lang_x.clone(), mask=attention_mask.clone(), labels=labels.clone())
        return (torch.zeros(()),)

    model.dtype, model.train = torch.float32, lambda: None  # type: ignore[attr-defined]
    step = SimpleNamespace(step=lambda: None, zero_grad=lambda: None, param_groups=[{"lr": 0}])
    accelerator = SimpleNamespace(
        autocast=nullcontext, mixed_precision="no", backward=lambda _loss: None, sync_gradients=False
    )
    train_one_epoch(args, model, 0, [[batch]], tokenizer, step, step, torch.device("cpu"), accelerator, None)
    found = seen(network, given["pixels"], given["ids"], given["mask"], given["labels"])
    return {
        "shape": list(given["pixels"].shape),
        **{key: given[key].tolist() for key in ("ids", "mask", "labels")},
        "loss": found["loss"],
        "logits": found["logits"] if name in ("shown", "rounds") else [],
    }


def main(checkout: Path) -> None:
    """Write the file."""
    checkout = checkout.resolve()
    stub(checkout)
    os.chdir(tempfile.mkdtemp())
    toy_tokenizer("llama").save_pretrained("toy-llama")
    toy_tokenizer("neox").save_pretrained("mosaicml/mpt-7b-instruct")
    from otter import modeling_otter as released
    from otter.configuration_otter import OtterConfig

    released.LlamaTokenizer = AutoTokenizer
    shrink(released)
    write_rows(Path.cwd())
    data = sys.modules["pipeline.mimicit_utils.mimicit_dataset"]
    said: dict[str, Any] = {
        "side": SIDE, "small": SMALL, "pictures": PICTURES, "rows": ROWS, "groups": GROUPS,
        "mean": data.FLAMINGO_MEAN, "std": data.FLAMINGO_STD, "networks": {},
    }  # fmt: skip
    for kind, (text, every) in NETWORKS.items():
        network = released.OtterForConditionalGeneration(OtterConfig(dict(VISION), json.loads(json.dumps(text)), every))
        network = network.float().eval()
        said["networks"][kind] = {
            "config": json.loads(network.config.to_json_string(use_diff=False)),
            "shapes": fill(network),
            "trained": {name: trained(network, Path.cwd(), name) for name in GROUPS},
        }
    write("otter_paper", said)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
