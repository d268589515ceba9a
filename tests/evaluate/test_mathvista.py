"""MathVista's numbers: counts, bounds, refusals and powers of ten; and a question that has its answer twice."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.evaluate.test_single_image import assert_reads, benchmark, rows
from tests.samples.golden import SAMPLES
from triptych.core.records import Example


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("In this street there are four houses with a red door.", 4),
        ("There are only three people who wear a hat in it.", 3),
        ("There are two dogs and three cats in the garden.", None),
        ("There are two of them that I would call blue today.", None),
        ("There are two hundred people in the wide hall there.", None),
        ("There are 4 houses taller than 12 metres.", 4),
        ("There are four houses taller than 12 metres.", 4),
        ("There are 2 boats that carry less than 3 people.", 2),
        ("The hall is 10 years older than 5.", 10),
        ("There are 4 balls other than 3 cubes.", 4),
        ("In 12 years the catch exceeded 40000 fish.", 40000),
        ("In 1931 it rose the most, with a height of 1,250.5 feet.", 1250.5),
        ("In the picture of 3 dogs, with careful counting the answer is 5.", 5),
        ("Starting from 5, with 7 added we get 12 in total.", 12),
        ("In figure 1, at least 5 people are seen.", 5),
        ("Image 1 shows more than 5 cars.", 5),
        ("The total for the 3 items is at most 20.", 20),
        ("In 2010, more than 45 units were sold.", 45),
        ("In 2010, there were more than 45.", 45),
        ("The 2 bars exceed 10.", 10),
        ("It is more than 7.", 7),
        ("There are 3 of them and the sum is more than 20.", 20),
        ("The answer is 1961 with a height of 40 metres.", 1961),
        ("There is one line that is higher than all others.", None),
        ("There is only one line that is higher than all others.", 1),
    ],
)
def test_mathvista_reads_a_count_and_no_bound_beside_it(reply: str, number: float | None) -> None:
    assert_reads(reply, number)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("I cannot tell how many houses have 3 floors.", None),
        ("The picture does not provide information on how many boats have 2 sails.", None),
        ("Say a shelf holds 4 books. Without the picture it is impossible to say.", None),
        ("I'm not certain it is 10.", None),
        ("I cannot be certain, but there are 6 boats.", 6),
        ("It is hard to say. I count 6 boats.", 6),
        ("You cannot see the end of it. It is 6 metres long.", 6),
        ("The width cannot be 0, and it is 6.", 6),
        ("The answer is 6. I cannot be certain.", 6),
        ("The area of the 4 rooms cannot be calculated.", None),
        ("Please provide the lengths of the 4 walls.", None),
    ],
)
def test_mathvista_takes_no_number_from_a_refusal(reply: str, number: float | None) -> None:
    assert_reads(reply, number)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("There are 6 boats. I'm not sure though.", 6),
        ("About 6, but I'm not sure.", 6),
        ("6 (not sure)", 6),
        ("There are 6 boats, but it is difficult to tell.", 6),
        ("The bar reads 45. The exact value is not clear.", 45),
        ("**5**\n\nI can't be sure.", 5),
        ("There are 7 objects left. None of the rest are metallic.", 7),
        ("0. None of the cubes is red.", 0),
        ("There are 5 people, and neither of them wears a hat.", 5),
        ("There are 5 chairs, which is not enough for all.", 5),
        ("The perimeter is 24 cm. The area cannot be calculated.", 24),
        ("x = 4. Other roots cannot be found.", 4),
        ("x = 4, as y cannot be found", 4),
        ("10. I have no idea who they are.", 10),
        ("The gap is 10. Please provide the names if you need more.", 10),
        ("The result is 12. I am sorry for the confusion earlier.", 12),
        ("The tower was finished in 1931. It is impossible to miss.", 1931),
        ("I cannot tell exactly, about 5", 5),
        ("It is not possible to give an exact value, approximately 45", 45),
        ("Although the exact ages cannot be determined, the gap is approximately 10 years.", 10),
        ("Since it's impossible to know the ages the gap of 10 years is my guess", 10),
        ("As the ages cannot be known I'd say 10", 10),
        ("I don't know, maybe 10", 10),
        ("Not sure, 10?", 10),
    ],
)
def test_mathvista_reads_a_number_beside_a_refusal(reply: str, number: float | None) -> None:
    assert_reads(reply, number)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("The wall weighs 2.5 × 10^3 kg.", 2500),
        ("It is $4.2 \\times 10^{-1}$ m.", 0.42),
        ("The answer is 7 x 10² m", 700),
        ("It is 5 × 10 cm = 50 cm.", 50),
    ],
)
def test_mathvista_reads_a_number_with_a_power_of_ten(reply: str, number: float) -> None:
    assert_reads(reply, number)


def test_mathvista_knows_a_right_option_that_is_there_twice(tmp_path: Path) -> None:
    file = next((SAMPLES / "mathvista").rglob("*.parquet"))
    table = pq.read_table(file)
    row = next(row for row in table.to_pylist() if row["question_type"] == "multi_choice")
    row |= {"choices": ["3", "5", "4", "5"], "answer": "5", "query": "How many?\n(A) 3\n(B) 5\n(C) 4\n(D) 5"}
    pq.write_table(pa.Table.from_pylist([row], schema=table.schema), tmp_path / "testmini.parquet")
    (question,) = rows("mathvista", tmp_path / "testmini.parquet")
    assert isinstance(question, Example)
    own = benchmark("mathvista")
    assert [own.score(question, said) for said in ("B", "(D) 5", "D", "The answer is 5", "C")] == [1, 1, 1, 1, 0]
