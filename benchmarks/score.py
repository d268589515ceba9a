"""Does a score head learn what pictures show? Damaged videos, the real commands, held-out pictures: one JSON object.

    python benchmarks/score.py --out score.json                 photographs where somebody has them, else drawn pictures
    python benchmarks/score.py --drawn --out drawn.json         drawn pictures
    python benchmarks/score.py --on dev --recipe MINE.yaml      while choosing: the test pictures are not looked at

The videos and their labels are made by ``score_videos.py``; nobody rated them. ``triptych train`` runs the recipe and
``triptych score`` gives the numbers of the split that was held out. Beside them, on the same videos: the mean of the
training labels; the same model shown the frames of another row (``other_pictures``), whose agreement with the labels
must be none; and two ridge regressions on the tower's own features without a language model: on their mean over a
video's frames (``ridge_mean``), and on that with how far frames one and two apart differ (``ridge_change``), for which
a person told it where to look. The ridge's strength is chosen within the training pictures.

Intervals are 95%, bootstrap over pictures, not over videos: videos of one picture are not independent. Photographs: the
Mantis chat examples in a folder ``shared`` beside the repository or in ``TRIPTYCH_SHARED``. Not a test: nothing fails
for being low.

Shapes: N videos, F frames, P positions of a frame, C channels of the tower, D numbers a video, S aspects.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import stats
from score_videos import (
    ASPECTS,
    FRAMES,
    PROMPT,
    SHARES,
    Video,
    drawn_pictures,
    lenders,
    photographs,
    plan,
    split,
    write_split,
)
from train import machine

from triptych.core.errors import TriptychError
from triptych.core.files import cache_folder
from triptych.core.records import ImageRef
from triptych.evaluate.certainty.statistics import interval_of
from triptych.evaluate.metrics.spearman import rank_correlation
from triptych.models.family import open_model
from triptych.models.vision.features import FeatureStore
from triptych.train.recipe import load_recipe

SEED, PLAN_SEED = 0, 10
BLOCKS = {"train": 12, "dev": 3, "test": 4}
"""64 videos each."""
RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "video_score_photos_starter.yaml"
ROWS = Path("data") / "score_videos"
STRENGTHS = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
"""Of a ridge, over features of unit variance."""
FOLDS = 5

Table = NDArray[np.float64]


def prepare(folder: Path, *, on: str, drawn: bool) -> tuple[str, dict[str, list[Video]], dict[str, int]]:
    """Write the training rows, those of the split that is held out, and these with another row's frames."""
    pictures: Mapping[str, Image.Image] = {} if drawn else photographs()
    source = "photographs of the Mantis chat examples" if pictures else "drawn pictures"
    pictures = pictures or drawn_pictures(seed=SEED)
    names = split(pictures, seed=SEED)
    videos = {}
    for number, part in enumerate(SHARES):
        if part in ("train", on):
            videos[part] = plan(names[part], BLOCKS[part], seed=PLAN_SEED + number)
            write_split(videos[part], pictures, folder / ROWS / f"{part}.json", prefix=part)
    rows = json.loads((folder / ROWS / f"{on}.json").read_text(encoding="utf-8"))
    lent = [
        row | {"images": rows[lender]["images"]}
        for row, lender in zip(rows, lenders(videos[on], seed=SEED), strict=True)
    ]
    (folder / ROWS / "other_pictures.json").write_text(json.dumps(lent, indent=1) + "\n", encoding="utf-8")
    return source, videos, {part: len(names[part]) for part in videos}


def triptych(folder: Path, *arguments: str) -> float:
    """Run a command as a user does; return its seconds."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "triptych", *arguments], cwd=folder, check=False, stdout=subprocess.DEVNULL
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return time.perf_counter() - begin


def scored(folder: Path, model: str, rows: Path) -> tuple[Table, float]:
    """Return what ``triptych score`` says of a file's rows [N, S], in their order, and its seconds."""
    out = folder / f"{rows.stem}-scores.json"
    seconds = triptych(folder, "score", model, f"mantis_classification:{rows}", "--out", str(out))
    found = {row["id"]: row["scores"] for row in json.loads(out.read_text(encoding="utf-8"))["scores"]}
    asked = [row["id"] for row in json.loads((folder / rows).read_text(encoding="utf-8"))]
    return np.array([[found[name][aspect] for aspect in ASPECTS] for name in asked]), seconds


def tower_features(folder: Path, model: Path, rows: Path, kept: Path) -> Table:
    """Return features_NFPC of a file's frames by the tower of a model's folder."""
    images = [
        ImageRef(str(folder / rows.parent / name))
        for row in json.loads((folder / rows).read_text(encoding="utf-8"))
        for name in row["images"]
    ]
    opened = open_model(model)
    opened.network.requires_grad_(False)
    seen = FeatureStore(opened, kept).features(images)
    features = np.stack([each.values.numpy() for each in seen]).astype(np.float64)
    return features.reshape(-1, FRAMES, *features.shape[1:])


def mean_numbers(features_NFPC: Table) -> Table:
    """Return numbers_ND: the mean feature of a video."""
    numbers_NC: Table = features_NFPC.mean(axis=(1, 2))
    return numbers_NC


def change_numbers(features_NFPC: Table) -> Table:
    """Return numbers_ND: the mean feature, and how far frames that are one and two apart differ in each channel."""
    apart = [np.abs(features_NFPC[:, far:] - features_NFPC[:, :-far]).mean(axis=(1, 2)) for far in (1, 2)]
    return np.concatenate([mean_numbers(features_NFPC), *apart], axis=1)


def ridge(learnt_ND: Table, labels_NS: Table, asked_MD: Table, *, strength: float) -> Table:
    """Return what a ridge regression says of videos, M of them; numbers are brought to unit variance."""
    mean_D, spread_D = learnt_ND.mean(axis=0), learnt_ND.std(axis=0) + 1e-9
    learnt_ND, asked_MD = (learnt_ND - mean_D) / spread_D, (asked_MD - mean_D) / spread_D
    mean_S = labels_NS.mean(axis=0)
    kernel_NN = learnt_ND @ learnt_ND.T
    weights_NS = np.linalg.solve(kernel_NN + strength * np.eye(len(kernel_NN)), labels_NS - mean_S)
    said_MS: Table = asked_MD @ (learnt_ND.T @ weights_NS) + mean_S
    return said_MS


def best_strengths(learnt_ND: Table, labels_NS: Table, pictures: Sequence[str]) -> list[float]:
    """Return the ridge's strength for each aspect: of least squared error over folds of the training pictures."""
    fold = {name: number % FOLDS for number, name in enumerate(sorted(set(pictures)))}
    fold_N = np.array([fold[name] for name in pictures])
    errors = []
    for strength in STRENGTHS:
        error_S = np.zeros(labels_NS.shape[1])
        for number in range(FOLDS):
            out_N = fold_N == number
            said = ridge(learnt_ND[~out_N], labels_NS[~out_N], learnt_ND[out_N], strength=strength)
            error_S += ((said - labels_NS[out_N]) ** 2).sum(axis=0)
        errors.append(error_S)
    return [STRENGTHS[int(at)] for at in np.argmin(np.stack(errors), axis=0)]


def pearson(labels: Sequence[float], scores: Sequence[float]) -> float | None:
    """Return Pearson's correlation; None where one side is constant."""
    if len(set(labels)) < 2 or len(set(scores)) < 2:
        return None
    return float(stats.pearsonr(labels, scores).statistic)


def agreement(labels_N: Table, scores_N: Table, pictures: Sequence[str]) -> dict[str, object]:
    """Return how far scores agree with labels, with intervals over pictures."""
    labels, scores = labels_N.tolist(), scores_N.tolist()
    found: dict[str, object] = {}
    for name, measure in (("spearman", rank_correlation), ("pearson", pearson)):
        whole = measure(labels, scores)
        found[name] = None if whole is None else round(whole, 3)
        if whole is not None:
            low, high = interval_of(_over(measure, labels, scores), len(labels), clusters=pictures)
            found[f"{name}_low"], found[f"{name}_high"] = round(low, 3), round(high, 3)
    return found | {"squared_error": round(fmean(((labels_N - scores_N) ** 2).tolist()), 3)}


def _over(
    measure: Callable[[list[float], list[float]], float | None], labels: list[float], scores: list[float]
) -> Callable[[Sequence[int]], float]:
    def resampled(places: Sequence[int]) -> float:
        drawn = measure([labels[at] for at in places], [scores[at] for at in places])
        return math.nan if drawn is None else drawn

    return resampled


def measure(folder: Path, recipe: Path, *, on: str, drawn: bool) -> dict[str, object]:
    """Return the numbers of the head and of all that stands beside it."""
    source, videos, pictures_count = prepare(folder, on=on, drawn=drawn)
    run = f"runs/{load_recipe(recipe).name}"
    train_s = triptych(folder, "train", str(recipe.resolve()))
    scores_NS, score_s = scored(folder, f"{run}/model", ROWS / f"{on}.json")
    other_NS, _ = scored(folder, f"{run}/model", ROWS / "other_pictures.json")
    labels = {part: np.array([video.levels for video in each], dtype=np.float64) for part, each in videos.items()}
    names = {part: [video.picture for video in each] for part, each in videos.items()}
    kept = {"train": folder / run / "features", on: cache_folder() / "features"}
    features = {
        part: tower_features(folder, folder / run / "model", ROWS / f"{part}.json", kept[part]) for part in videos
    }
    ways = {"head": scores_NS, "other_pictures": other_NS}
    ways["training_mean"] = np.broadcast_to(labels["train"].mean(axis=0), labels[on].shape)
    for name, numbers in (("ridge_mean", mean_numbers), ("ridge_change", change_numbers)):
        learnt, asked = numbers(features["train"]), numbers(features[on])
        best = best_strengths(learnt, labels["train"], names["train"])
        said = [ridge(learnt, labels["train"], asked, strength=each)[:, at] for at, each in enumerate(best)]
        ways[name] = np.stack(said, axis=1)
    rows = [
        {"way": way, "aspect": aspect} | agreement(labels[on][:, at], said_NS[:, at], names[on])
        for at, aspect in enumerate(ASPECTS)
        for way, said_NS in ways.items()
    ]
    return {
        "pictures": source,
        "pictures_count": pictures_count,
        "videos_count": {part: len(each) for part, each in videos.items()},
        "held_out": on,
        "frames_count": FRAMES,
        "prompt": PROMPT,
        "recipe": recipe.name,
        "train_s": round(train_s, 1),
        "score_s": round(score_s, 1),
        "rows": rows,
    }


def table_lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the rows as lines of a table."""
    lines = [f"{'aspect':<22} {'way':<15} {'Spearman':>8}  {'95% interval':<17} {'Pearson':>7} {'squared error':>13}"]
    for row in rows:
        ranked = f"{'none':>8}  {'':<17} {'none':>7}"
        if row["spearman"] is not None:
            span = f"{row['spearman_low']:.3f} to {row['spearman_high']:.3f}"
            ranked = f"{row['spearman']:>8.3f}  {span:<17} {row['pearson']:>7.3f}"
        lines.append(f"{row['aspect']:<22} {row['way']:<15} {ranked} {row['squared_error']:>13.3f}")
    return lines


def main() -> None:
    """Measure and write JSON; a table goes to stderr."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--recipe", type=Path, default=RECIPE, help="what is trained; it reads data/score_videos")
    options.add_argument("--on", choices=["dev", "test"], default="test", help="the split that is scored")
    options.add_argument("--drawn", action="store_true", help="drawn pictures, also where photographs are")
    options.add_argument("--folder", type=Path, help="keep the videos and the run here")
    options.add_argument("--out", type=Path, help="a file for the JSON, instead of stdout")
    said = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="triptych-benchmark-") as scratch:
        folder = said.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            numbers = measure(folder.resolve(), said.recipe, on=said.on, drawn=said.drawn)
        except TriptychError as error:
            sys.stderr.write(f"skipped: {error}\n")
            sys.exit(3)
    sys.stderr.write("\n".join(table_lines(numbers["rows"])) + "\n")  # type: ignore[arg-type]
    text = json.dumps({"machine": machine(), **numbers}, indent=2) + "\n"
    if said.out is None:
        sys.stdout.write(text)
    else:
        said.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
