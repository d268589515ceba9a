"""What a tower's features depend on, as one sha256: its weights, its settings and how images are prepared.

Not the features' cache (``models/vision/features.py``), whose key this is. Hashing all weights takes a while, so the
digest is kept until a weight, a setting or the preparation changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from torch import nn

from triptych.models.digest import add_weights

BOOKKEEPING = ("architectures", "dtype", "transformers_version")
"""What a tower's configuration says that changes nothing of what the tower gives."""


class Fingerprint:
    """The digest of one tower. State: the last one, and what it is of."""

    def __init__(self) -> None:
        self._known: tuple[object, str] | None = None

    def of(self, tower: nn.Module, *, settings: Mapping[str, object], how: object) -> str:
        """Return the digest.

        Args:
            tower: its weights and buffers count.
            settings: its configuration; what is mere bookkeeping there does not count.
            how: which features are taken and how images are prepared; anything that JSON can say.
        """
        weights = tower.state_dict(keep_vars=True)
        kept = {key: value for key, value in settings.items() if key not in BOOKKEEPING and not key.startswith("_")}
        said = json.dumps([how, kept], default=str, sort_keys=True)
        state = (said, [(weight.data_ptr(), weight._version, weight.dtype) for _, weight in sorted(weights.items())])
        if self._known is not None and self._known[0] == state:
            return self._known[1]
        digest = hashlib.sha256(said.encode("utf-8"))
        add_weights(digest, weights)
        self._known = (state, digest.hexdigest())
        return self._known[1]
