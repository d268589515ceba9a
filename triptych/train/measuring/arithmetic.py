"""The rule by which operations are counted, for the live model (``operations.py``) and for shapes alone.

For every matrix and every position that goes through it: 2 operations a weight forth; 2 back to its input, where
something that moves stands before it or in its layer; 2 back to the weight itself, where that moves. So 6 a weight
where all moves, 4 for a frozen matrix under an adapter, 2 for a frozen layer below the first that moves.
"""

from __future__ import annotations


def matrix_operations(weights: float, *, back: bool, moves: bool) -> float:
    """Return the operations of one position in a matrix.

    Args:
        weights: of the matrix.
        back: whether a gradient passes to its input.
        moves: whether the matrix itself learns.
    """
    return 2 * weights * (1 + back + moves)


def attention_operations(width: int, *, back: bool) -> float:
    """Return the operations of one pair of positions that see each other, in one layer.

    Args:
        width: of all heads together: products for the score, and for what is taken.
        back: whether a gradient passes, with two products for each of those.
    """
    return 4 * width * (3 if back else 1)
