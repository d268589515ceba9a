"""How many tokens a model that answers takes, prompt and reply together, as its configuration says.

Not how many the device's memory holds (``room.py``).
"""

from __future__ import annotations

import sys

from transformers import PreTrainedConfig

NAMES = ("max_position_embeddings", "max_seq_len", "n_positions", "seq_length", "max_sequence_length", "context_length")
"""What configurations call it: MPT has the second, folders of BLOOM may have the fourth."""
ENDLESS = sys.maxsize
"""Of a model whose configuration names none, as BLOOM's: positions are no part of what it learnt."""


def longest_of(config: PreTrainedConfig) -> int:
    """Return the most tokens that a language model takes; ``ENDLESS`` where nothing says it.

    Args:
        config: of a whole model, or of a language model alone.
    """
    text = config.get_text_config()
    said = (getattr(text, name, None) for name in NAMES)
    return next((each for each in said if isinstance(each, int) and each > 0), ENDLESS)
