"""LLaVA-Interleave Bench's own scoring: words in one form, ROUGE-L or exact match, means of datasets and categories.

Source: Li et al. 2024 (arXiv:2407.07895), the scoring script of LLaVA-NeXT. Not a robust reading of replies: "The
answer is C" is no match for "C" here. Invariant: equal to that script, but for a reply of periods only, on which it
breaks off and which scores 0 here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from triptych.evaluate.metrics.rouge import published_rouge_l
from triptych.evaluate.metrics.vqa import without_marks

CATEGORIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "spot_the_diff": ("Spot-the-Diff", "Birds-to-Words", "CLEVR-Change"),
        "image_edit_instruct": ("IEdit", "HQ-Edit", "MagicBrush"),
        "visual_story_telling": ("AESOP", "FlintstonesSV", "PororoSV", "VIST"),
        "visual_cloze": ("COMICS_Dialogue", "RecipeQA_VisualCloze"),
        "text_rich_vqa": ("WebQA", "TQA", "OCR-VQA", "DocVQA"),
        "multi_image_vqa": (
            "MIT-States_StateCoherence",
            "MIT-States_PropertyCoherence",
            "VISION",
            "RecipeQA_ImageCoherence",
        ),
        "puzzle": ("RAVEN",),
        "nlrv2": ("NLVR2_Mantis",),
        "qbench": ("QBench",),
    }
)
"""In-domain categories and their datasets, in the published order and spelling. The published in-domain average is the
mean of all nine, ``visual_cloze`` included, which the published table does not show."""
_CATEGORY_OF = {name: category for category, datasets in CATEGORIES.items() for name in datasets}
_LONGEST = 512
"""Characters of a reply, in its one form, that count."""
_LETTERS = frozenset("abcdefgh")


def process(text: str) -> str:
    """Return the form of a reference or reply that is compared.

    >>> process("$1,234.56 (A).")
    '$1234.56 a'
    """
    words = without_marks(text.replace("\n", " ").replace("\t", " ").strip())
    for outer in "'\")(":
        words = words.strip(outer)
    return words.strip().lower()


def open_ended(reference: str, reply: str) -> float | None:
    """Return ROUGE-L's F of the processed texts, 0 to 1; None where nothing is left of the reference: not counted."""
    wanted, said = process(reference), process(reply)[:_LONGEST]
    if not wanted:
        return None
    if not said.strip(".") or not wanted.strip("."):
        return 0.0
    return published_rouge_l(wanted, said).f


def multi_choice(reference: str, reply: str) -> float:
    """Return 1 where the processed texts are equal, else 0. In a reply with colons the last lone letter a-h counts.

    >>> multi_choice("B", "Answer: B"), multi_choice("C", "The answer is C")
    (1.0, 0.0)
    """
    said = process(reply)
    letters = [part for part in map(str.strip, said.split(":")) if part in _LETTERS] if ":" in said else []
    return float(process(reference) == (letters[-1] if letters else said))


def dataset_score(scores: Iterable[float | None]) -> float:
    """Return the mean of a dataset's scores; those that do not count are left out. Raises ValueError: none counts."""
    counted = [score for score in scores if score is not None]
    if not counted:
        raise ValueError("no question of the dataset counts.")
    return sum(counted) / len(counted)


def category_of(dataset: str) -> str:
    """Return the category of a dataset; one outside ``CATEGORIES`` is a category of its own."""
    return _CATEGORY_OF.get(dataset, dataset)


def category_scores(by_dataset: Mapping[str, float]) -> dict[str, float]:
    """Return the unweighted mean over the datasets of each category, in the order in which categories first appear.

    Args:
        by_dataset: the score of each dataset (``dataset_score``), by its published name.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    for dataset, score in by_dataset.items():
        found[category_of(dataset)].append(score)
    return {category: sum(scores) / len(scores) for category, scores in found.items()}
