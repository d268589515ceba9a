"""Writes ``otterhd.json``: rows, labels, logits and losses of OtterHD's released data set, processor and network.

    PYTHONPATH=CHECKOUT_OF_TRIPTYCH python -m tests.released.make_otterhd CHECKOUT_OF_OTTER

Commit, versions and stubs are those of ``make_otter.py``; without flash_attn, the language model is transformers' own.
The id of ``<0x04>``, which the released code knows by number (71122), is given to it as that of the toy tokenizer.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.released.flamingo_toys import fuyu_tokenizer
from tests.released.make_otter import PICTURES, ROWS, arguments, data_set, kept, stub, write_rows
from tests.released.making import fill, rounded, write

RESOLUTION = (90, 60)
TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 512, "rope_theta": 25000.0,
}  # fmt: skip


def main(checkout: Path) -> None:
    """Write the file."""
    stub(checkout.resolve())
    os.chdir(tempfile.mkdtemp())
    from pipeline.mimicit_utils.mimicit_dataset import prepare_fuyu
    from src.otter_ai.models.fuyu.modeling_fuyu import FuyuForCausalLM
    from src.otter_ai.models.fuyu.processing_fuyu import FuyuProcessor
    from transformers import FuyuConfig, FuyuImageProcessor

    tokenizer = fuyu_tokenizer()
    answer = tokenizer.convert_tokens_to_ids("<0x04>")
    config = FuyuConfig(
        text_config=dict(TEXT, model_type="persimmon", vocab_size=len(tokenizer)), **TEXT, vocab_size=len(tokenizer)
    )
    network = FuyuForCausalLM(config).float().eval()
    shapes = fill(network)

    class Processor(FuyuProcessor):
        """The released one, told the toy's number."""

        def get_labels(self, input_ids: Any, special_token_id: int) -> Any:
            return super().get_labels(input_ids, answer)

        def find_and_remove_tokens(self, input_ids: Any, labels: Any, token_id: int) -> Any:
            return super().find_and_remove_tokens(input_ids, labels, answer)

    sides = {"height": RESOLUTION[1], "width": RESOLUTION[0]}
    processor = Processor(FuyuImageProcessor(size=sides, patch_size={"height": 30, "width": 30}), tokenizer)
    write_rows(Path.cwd())
    args = arguments(tokenizer, "fuyu")
    args.model_name, args.dynamic_resolution = "fuyu", False
    data = data_set(Path.cwd(), "one", args)
    batch = data.collate([data[at] for at in range(len(data))])
    inputs = prepare_fuyu(args, processor, batch, RESOLUTION)
    with torch.no_grad():
        found = network(**inputs)
    said = {
        "resolution": RESOLUTION,
        "pictures": PICTURES,
        "rows": ROWS,
        "groups": {"one": ["IMAGE_TEXT", ["X_1", "X_2"]]},
        "config": json.loads(network.config.to_json_string(use_diff=False)),
        "shapes": shapes,
        **{key: inputs[key].tolist() for key in ("input_ids", "attention_mask", "labels")},
        "patches": [rounded(patches.flatten()[::500]) for patches in inputs["image_patches"]],
        "logits": kept(found.logits, inputs["attention_mask"]),
        "loss": rounded(found.loss),
    }
    write("otterhd", said)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
