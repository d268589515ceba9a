"""WordNet 3.0: how near the first senses of two words are (Wu & Palmer 1994), and the base form of a word.

Not a download: the dictionary's files are found where WordNet itself, NLTK or Debian keeps them, and read by NLTK, an
optional dependency. Both are asked for only when two texts differ. Sources: Miller 1995; the similarity is NLTK's
``wup_similarity``, with which papers report WUPS.
"""

from __future__ import annotations

import io
import os
import warnings
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from triptych.core.errors import ConfigError

DEBIAN = Path("/usr/share/wordnet")
FOLDER_VARIABLE = "WNSEARCHDIR"
"""The environment variable in which WordNet's own programs look for its folder."""
_LEXICOGRAPHER_FILES = 45
MISSING = (
    "WUPS needs WordNet 3.0 and NLTK to read it: pip install nltk, then python -m nltk.downloader wordnet "
    f"(or apt-get install wordnet-base, or {FOLDER_VARIABLE}=its folder)."
)


class WordNet:
    """The dictionary, open. Its state is NLTK's reader, which keeps what it has read."""

    def __init__(self, folder: Path) -> None:
        """Open a folder of dictionary files (``data.noun``...). Raises ConfigError: none there, or no NLTK."""
        self._reader = _reader(folder)
        self._nearness = lru_cache(maxsize=1 << 16)(self._compare)
        self.base_form = lru_cache(maxsize=1 << 16)(self._base_form)

    def similarity(self, word: str, other: str) -> float:
        """Return how near the first senses of two words are: 0 to 1; 0 where one is unknown or nothing joins them."""
        return 1.0 if word == other else self._nearness(word, other)

    def _compare(self, word: str, other: str) -> float:
        senses, others = self._reader.synsets(word), self._reader.synsets(other)
        if not senses or not others:
            return 0.0
        # Only the first word says whether there is a root above all verbs: so did NLTK when papers began to use it.
        rooted = senses[0].pos() != "n"
        return float(senses[0].wup_similarity(others[0], simulate_root=rooted) or 0.0)

    def _base_form(self, word: str) -> str:
        """Return a word without its ending: of a verb's ``-ing``, ``-ed`` and the like, else of a noun's plural."""
        noun, verb = (self._reader.morphy(word, part) for part in ("n", "v"))
        if verb is not None and verb != word and (noun in (None, word) or not word.endswith("s")):
            return str(verb)
        return str(noun or verb or self._reader.morphy(word) or word)


@lru_cache(maxsize=1)
def open_wordnet() -> WordNet:
    """Return WordNet from where it is kept: ``WNSEARCHDIR``, NLTK's data folders, Debian's. Raises ConfigError."""
    return WordNet(_folder())


def _folder() -> Path:
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        return Path(folder)
    try:
        return Path(str(import_module("nltk").data.find("corpora/wordnet")))
    except (ImportError, LookupError):
        pass
    try:  # As the downloader leaves it.
        return Path(str(import_module("nltk").data.find("corpora/wordnet.zip/wordnet/")))
    except (ImportError, LookupError):
        return DEBIAN


def _reader(folder: Path) -> Any:
    try:
        known, kind = import_module("nltk.data").path, import_module("nltk.corpus.reader.wordnet").WordNetCorpusReader
    except ImportError as error:
        raise ConfigError(f"{error}. {MISSING}") from None
    if not (folder / "data.noun").exists():
        raise ConfigError(f"{folder}: no file data.noun. {MISSING}")
    if str(folder) not in known:
        known.append(str(folder))  # NLTK opens nothing outside the folders that it knows.
    own = type("EnglishWordNet", (kind,), {"open": _opened(kind, folder), "map_wn": _maps_nothing})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It warns that there are no other languages.
        return own(str(folder), None)


def _opened(kind: Any, folder: Path) -> Any:
    def opened(reader: Any, file: str) -> Any:
        """Open a file of the folder. Debian leaves out the lexicographers' names: numbers stand for them."""
        if file == "lexnames" and not (folder / file).exists():
            return io.StringIO("".join(f"{number:02d} {number} 0\n" for number in range(_LEXICOGRAPHER_FILES)))
        return kind.open(reader, file)

    return opened


def _maps_nothing(reader: Any, version: str = "") -> None:
    """Stand where NLTK would map the senses of other versions and languages, for which it reads WordNet twice."""
