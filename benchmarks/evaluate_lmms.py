"""lmms-eval answers a file of questions, timed: the other end of ``evaluate_peer.py``, in lmms-eval's environment.

Knows nothing of Triptych. What is timed is lmms-eval's own chat model ``llava_hf``, from its registry, called as its
evaluator calls it: ``generate_until`` of all requests, greedy, one at a time as that model insists on. Images come
through ``doc_to_messages`` in their places, opened for every question, as a task of lmms-eval opens those of its data
set. The evaluator's own work around that (building tasks, scoring) is not timed.

One thing is added: ``llava_hf`` knows model types by a table, and ours goes into it as transformers' auto class.

``generate_until`` turns an error into an empty reply; those are left out, so that they count as different.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from lmms_eval.api.instance import Instance
from lmms_eval.models import get_model
from lmms_eval.models.simple import llava_hf
from PIL import Image

TASK = "triptych"
SPLIT = "all"


def open_model(folder: str, *, device: str, dtype: str) -> Any:
    """Return lmms-eval's ``llava_hf`` with the model in it."""
    kind = transformers.AutoConfig.from_pretrained(folder).model_type
    llava_hf.model_map.setdefault(kind, transformers.AutoModelForImageTextToText)
    return get_model("llava_hf")(pretrained=folder, device=device, device_map=device, dtype=dtype, batch_size=1)


def messages_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a question as lmms-eval's chat messages, with its images opened."""
    return [
        {"role": turn["role"], "content": [_part(part) for part in turn["content"]]} for turn in document["messages"]
    ]


def _part(part: dict[str, str]) -> dict[str, Any]:
    if part["type"] == "text":
        return part
    with Image.open(part["path"]) as picture:
        return {"type": "image", "url": picture.convert("RGB")}


def ask(model: Any, numbers: Sequence[int], *, tokens: int) -> dict[str, Any]:
    """Return the replies to the documents of these numbers, and what they took by the clock and of processor time."""
    wanted = {"max_new_tokens": tokens, "do_sample": False, "temperature": 0}
    requests = [
        Instance(
            "generate_until",
            ("", messages_of, dict(wanted), number, TASK, SPLIT),
            idx=0,
            metadata={"task": TASK, "doc_id": number, "repeats": 1},
        )
        for number in numbers
    ]
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found = model.generate_until(requests)
    s, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
    documents = model.task_dict[TASK][SPLIT]
    named = zip((documents[number]["id"] for number in numbers), found, strict=True)
    # Without counts where its generate_until has met an error and went on.
    replies = {name: said.text for name, said in named if said.token_counts is not None}
    return {"replies": replies, "s": s, "cpu_s": cpu_s}


def about() -> dict[str, Any]:
    """Return what answers, and how."""
    return {
        "version": importlib.metadata.version("lmms-eval"),
        "model": "llava_hf (chat), generate_until",
        "batch_size": 1,
        "threads_count": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def main() -> None:
    """Say that the model is open, then answer lines of question numbers with lines of replies."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("model")
    options.add_argument("questions", type=Path)
    options.add_argument("--device", required=True)
    options.add_argument("--dtype", required=True)
    options.add_argument("--threads", type=int, required=True)
    options.add_argument("--tokens", type=int, required=True)
    said = options.parse_args()
    # Stdout is for the answers alone: what libraries print there goes to stderr.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    torch.set_num_threads(said.threads)
    model = open_model(said.model, device=said.device, dtype=said.dtype)
    model.task_dict = {TASK: {SPLIT: json.loads(said.questions.read_text(encoding="utf-8"))}}
    answers.write(json.dumps(about()) + "\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(ask(model, json.loads(line), tokens=said.tokens)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
