"""The code that makes rows, told from other code: what was kept of rows is of no use once another code would make them.

Not the version of a package, which stays while its files change. A plug-in of somebody else's counts with the modules
beside it, not with what it imports from elsewhere. Invariant: the same in every process, whatever it has imported.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pkgutil import iter_modules

from triptych import __version__

OURS = ("triptych.core", "triptych.data")
"""The packages that have a say in what a row is."""


def code_digest(plugins: Iterable[str] = ()) -> str:
    """Return a digest of the code that makes rows; some 50 milliseconds, once in a process.

    Args:
        plugins: names of formats and transforms; those with a dot are modules of somebody else's.
    """
    others = sorted({name.rpartition(".")[0] for name in plugins if "." in name})
    told = [_digest(package, deep=True) for package in OURS] + [_digest(package, deep=False) for package in others]
    return hashlib.sha256(repr(told).encode()).hexdigest()


@cache
def _digest(package: str, *, deep: bool) -> str:
    """Return a digest of a package's files of code; where none can be read, of the version."""
    digest = hashlib.sha256()
    module = importlib.import_module(package)
    found = False
    for name, code in [*_own(package, module.__spec__), *_files(package, module.__path__, deep=deep)]:
        found = True
        digest.update(f"{name} {len(code)}\n".encode() + code)
    return digest.hexdigest() if found else f"{package} {__version__}"


def _files(package: str, folders: Iterable[str], *, deep: bool) -> Iterator[tuple[str, bytes]]:
    """Yield (module, its file's bytes), sorted; a zip's and a compiled module's too, as far as they can be read."""
    places: Sequence[str] = list(folders)
    for module in sorted(iter_modules(places), key=lambda module: module.name):
        name = f"{package}.{module.name}"
        spec = PathFinder.find_spec(name, places)
        yield from _own(name, spec)
        if deep and spec and spec.submodule_search_locations:
            yield from _files(name, spec.submodule_search_locations, deep=True)


def _own(name: str, spec: ModuleSpec | None) -> Iterator[tuple[str, bytes]]:
    """Yield a module's own file, if it has one that can be read."""
    read = getattr(spec.loader, "get_data", None) if spec else None
    if spec and spec.origin and read:
        yield name, read(spec.origin)
