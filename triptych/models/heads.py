"""Score heads: numbers or classes read from hidden states of the language model, beside it, in any family.

Not part of the network, whose class and names stay as they are: a folder carries the head in a file of its own. Not
where it reads (``data/plan/scoring.py``) nor its loss (``train/loss.py``). Published checkpoints for sequence
classification (``...ForSequenceClassification``, as VideoScore is) have it among the network's weights, as
``score.weight`` and ``score.bias``: they are opened with it, or refused where their own code scores otherwise than it
would be here. Source: arXiv:2406.15252; transformers' ``GenericForSequenceClassification``, which has no bias; Mantis,
``mantis/models/qwen2_vl/modeling_qwen2_vl.py``.

Shapes: B rows, T tokens a row, N conversations, S targets, C outputs for each target, H hidden size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from triptych.core.errors import ModelError
from triptych.data.plan.scoring import Loss, Scoring
from triptych.models.disk.missing_files import unreadable
from triptych.models.memory.transfer import send
from triptych.models.parts import SCORE, WEIGHT_FILE_ERRORS, reason

WEIGHTS = "score_head.safetensors"
"""The head's file in a model's folder: ``weight`` [S * C, H] and ``bias`` [S * C], float32."""
SPREAD = 0.02
"""Standard deviation of new weights, as transformers begins a linear layer."""

BIAS = "score.bias"
_PER_LABEL = re.compile(r"score\.\d+\.weight")
"""Weights of a head for each label, read at a token of its own: Mantis with ``score_type: special_token``."""
_FLAT = "Qwen2VLForSequenceClassification"
"""A network of Mantis which counts positions through images as through words, where Qwen2-VL has three axes."""

_LOSSES: dict[str, Loss] = {
    "regression": "mse",
    "multi_label_classification": "bce",
    "single_label_classification": "ce",
}


class UnreadableWeightsError(ModelError):
    """A file of weights cannot be read, so that nobody knows what head it holds."""


class ScoreHead(nn.Module):
    """A linear map for each target, in float32 whatever the network computes in."""

    def __init__(self, scoring: Scoring, hidden: int, *, seed: int = 0) -> None:
        """Begin with small random weights and no bias.

        Args:
            scoring: what it says.
            hidden: H.
            seed: of the weights.
        """
        super().__init__()
        self.scoring = scoring
        self.hidden_size = hidden
        self.score = nn.Linear(hidden, len(scoring.targets) * scoring.classes, dtype=torch.float32, device="meta")
        self.score.to_empty(device="cpu")
        with torch.no_grad():
            self.score.weight.normal_(std=SPREAD, generator=torch.Generator().manual_seed(seed))
            self.score.bias.zero_()

    def forward(self, hidden_NSH: Tensor) -> Tensor:
        """Return outputs_NSC: a number, a logit, or a logit of each class."""
        shape = (len(self.scoring.targets), self.scoring.classes)
        with torch.autocast(hidden_NSH.device.type, enabled=False):
            weight_SCH = self.score.weight.float().view(*shape, self.hidden_size)
            outputs_NSC = torch.einsum("nsh,sch->nsc", hidden_NSH.float(), weight_SCH)
            return outputs_NSC + self.score.bias.float().view(shape)

    def read(self, hidden_BTH: Tensor, reads_NS2: Tensor) -> Tensor:
        """Return outputs_NSC of the hidden states at the positions (row, column) where the targets are read."""
        rows_NS, columns_NS = send(reads_NS2, hidden_BTH.device).view(-1, len(self.scoring.targets), 2).unbind(-1)
        outputs_NSC: Tensor = self(hidden_BTH[rows_NS, columns_NS])
        return outputs_NSC

    def scores(self, outputs_NSC: Tensor) -> Tensor:
        """Return scores_NS as people read them: a number, a share from 0 to 1, or the likeliest class."""
        if self.scoring.loss == "ce":
            return outputs_NSC.argmax(-1).float()
        outputs_NS = outputs_NSC[..., 0]
        return outputs_NS.sigmoid() if self.scoring.loss == "bce" else outputs_NS

    def save_pretrained(self, save_directory: Path) -> None:
        """Write the head's file into a folder; ``said`` of it goes into the folder's note."""
        weights = {"weight": self.score.weight, "bias": self.score.bias}
        kept = {name: weight.detach().cpu().float().contiguous() for name, weight in weights.items()}
        save_file(kept, save_directory / WEIGHTS)

    def said(self) -> dict[str, Any]:
        """Return what a folder's note says of the head."""
        return asdict(self.scoring) | {"targets": list(self.scoring.targets)}


def head_in(folder: Path, said: Any) -> ScoreHead | None:
    """Return the head of a model's folder, ours or a published one; None: it has none.

    Args:
        folder: the model's.
        said: of the head, in the folder's note; None: it says nothing.

    Raises:
        UnreadableWeightsError: the head's file, or one that may hold a head, is damaged or may not be read.
        ModelError: the head's file is missing, or a published head is of a kind that is not known, or would give other
            scores here than by its own code.
    """
    if (folder / WEIGHTS).is_file():
        if said is None:
            raise ModelError(f"{folder}: nothing says what its {WEIGHTS} scores; its triptych.json is another's.")
        with _readable(folder / WEIGHTS):
            weights = load_file(folder / WEIGHTS)
        return _filled(
            Scoring(**said | {"targets": tuple(said["targets"])}), weights["weight"], weights["bias"], folder
        )
    published = _published_weights(folder)
    if not published:
        if said is not None:
            raise ModelError(f"{folder}: it says that it has a score head, but holds no {WEIGHTS}.")
        return None
    weight = published[SCORE]
    scoring = _published_scoring(folder, outputs=len(weight))
    if said is not None:  # names that somebody gave the outputs
        scoring = Scoring(**asdict(scoring) | {"targets": tuple(said["targets"])})
    bias = published.get(BIAS, torch.zeros(len(weight)))
    return _filled(scoring, weight, bias, folder)


def _filled(scoring: Scoring, weight: Tensor, bias: Tensor, folder: Path) -> ScoreHead:
    outputs = len(scoring.targets) * scoring.classes
    if weight.ndim != 2 or len(weight) != outputs or bias.shape != (outputs,):
        raise ModelError(f"{folder}: its score head has {len(weight)} outputs, {outputs} are named.")
    head = ScoreHead(scoring, weight.shape[1])
    with torch.no_grad():
        head.score.weight.copy_(weight)
        head.score.bias.copy_(bias)
    return head.eval().requires_grad_(False)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, *WEIGHT_FILE_ERRORS) as error:
        problem = unreadable(path) or f"cannot be read: {reason(error)}"
        raise UnreadableWeightsError(f"{path} {problem}") from error


def _published_weights(folder: Path) -> dict[str, Tensor]:
    for path in sorted(folder.glob("*.safetensors")):
        with _readable(path), safe_open(path, framework="pt") as file:
            names = set(file.keys())
            if several := sorted(filter(_PER_LABEL.fullmatch, names)):
                raise ModelError(
                    f"{folder}: it has a score head for each label, the first is {several[0]!r}, read at tokens of"
                    " their own (score_type special_token); here one head, 'score.weight', is read. Use its own code."
                )
            if SCORE in names:
                return {name: file.get_tensor(name).float() for name in names & {SCORE, BIAS}}
    return {}


def _published_scoring(folder: Path, *, outputs: int) -> Scoring:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if _FLAT in (config.get("architectures") or ()):
        raise ModelError(
            f"{folder}: a {_FLAT} was tuned with positions that count through pictures as through words; here they have"
            " rows and columns, so its scores would be others. Use its own code, or train a score head here."
        )
    problem = config.get("problem_type") or ("regression" if outputs == 1 else None)
    if problem not in _LOSSES:
        raise ModelError(
            f"{folder}: config.json gives its score head the problem_type {problem!r}; write one of"
            f" {', '.join(_LOSSES)}."
        )
    labels = config.get("id2label") or {}
    names = tuple(str(labels.get(str(number), f"LABEL_{number}")) for number in range(outputs))
    loss = _LOSSES[problem]
    if loss == "ce":
        return Scoring(targets=("class",), loss=loss, classes=outputs, asked="plain")
    return Scoring(targets=names, loss=loss, asked="plain")
