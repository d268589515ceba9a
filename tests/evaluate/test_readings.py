"""``benchmarks/readings.py`` on a checkout of MathVista with replies of our own making."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "readings.py"
CHOICE = {"choices": ["3 m", "4 m"], "question_type": "multi_choice", "answer_type": "text", "answer": "4 m"}
NUMBER = {"choices": None, "question_type": "free_form", "answer_type": "integer", "answer": "7"}
ROWS = [
    {**CHOICE, "response": "The pole is 4 m long.", "extraction": "B", "prediction": "4 m", "true_false": True},
    {**CHOICE, "response": "I cannot see a pole.", "extraction": "None", "prediction": "3 m", "true_false": False},
    {**CHOICE, "response": "", "extraction": "(B)", "prediction": "4 m", "true_false": True},
    {**NUMBER, "response": "There are 7 poles.", "extraction": "7", "prediction": "7", "true_false": True},
    {**NUMBER, "response": "It is 7.9.", "extraction": "7.9", "prediction": None, "true_false": False},
    {**NUMBER, "response": "I cannot count them.", "extraction": "none", "prediction": None, "true_false": False},
]


def test_readings_are_told_apart_from_guesses(tmp_path: Path) -> None:
    (tmp_path / "results" / "model").mkdir(parents=True)
    named = {
        str(number): {"pid": str(number), "question": "How long?", "query": "How long?\n(A) 3 m\n(B) 4 m", **row}
        for number, row in enumerate(ROWS)
    }
    (tmp_path / "results" / "model" / "output_model.json").write_text(json.dumps(named, indent=1))
    (tmp_path / "results" / "model" / "output_model_2shot_code.json").write_text("{}")
    script = [sys.executable, str(SCRIPT), "--mathvista", str(tmp_path)]
    differences = tmp_path / "differences.jsonl"
    done = subprocess.run([*script, "--differences", str(differences)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert list(told) == ["mathvista model"]
    counted = {"replies": 6, "read_there": 4, "guessed_there": 1, "no_number_there": 1, "differences": 1}
    assert counted.items() <= told["mathvista model"].items()
    assert (told["mathvista model"]["total_here"], told["mathvista model"]["total_there"]) == (50.0, 50.0)
    (line,) = differences.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["id"] == "2"
