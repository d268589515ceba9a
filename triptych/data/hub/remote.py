"""What files a place on the network has: a data set on the Hugging Face hub, a folder on GitHub, an address.

Not the files' contents: ``download`` brings those. Sources: the hub's HTTP API (``/api/datasets/REPO/tree``), GitHub's
(``/repos/REPO/git/trees``). Invariants: what is listed belongs to one commit; no path leads out of its folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from triptych.data.hub.catalogue import GitHub, Hub, Url, Where
from triptych.data.hub.download import CONNECT_S, SILENCE_S, DownloadError, RemoteFile, refusal, unreachable

Answer = Any
"""JSON of a server; each use looks at what it takes."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Whom to ask."""

    hub: str = "https://huggingface.co"
    hub_token: str | None = field(default=None, repr=False)
    github_api: str = "https://api.github.com"
    github_raw: str = "https://raw.githubusercontent.com"


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a place at one commit."""

    commit: str
    """Empty for an address."""
    files: tuple[RemoteFile, ...]


def servers() -> Servers:
    """Return the servers that the environment names: ``HF_ENDPOINT``, and who asks: ``HF_TOKEN`` or a saved login."""
    from huggingface_hub import constants, get_token

    return Servers(hub=constants.ENDPOINT.rstrip("/"), hub_token=get_token())


def list_files(place: Where, *, session: requests.Session, known: Servers, revision: str | None = None) -> Listing:
    """Return the files of a place.

    Args:
        place: where they are.
        session: what asks.
        known: whom.
        revision: a branch, tag or commit; None: the one that the catalogue names.

    Raises:
        DownloadError: it is not reached, not allowed or not there.
    """
    if isinstance(place, Url):
        return _at_url(place, session)
    at, server = revision or place.revision, known.hub if isinstance(place, Hub) else known.github_api
    try:
        if isinstance(place, Hub):
            return _on_hub(place, session, known, at)
        return _on_github(place, session, known, at)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise DownloadError(
            "server",
            f"{place.repo} at {at}: {server} answers something else than a listing of files ({error!r}). Is it the"
            " right server? A mirror may lack what it takes: ask another one.",
        ) from error


def matching(files: Iterable[RemoteFile], pattern: str) -> list[RemoteFile]:
    """Return the files that a pattern means: a path, or, without a slash, a name wherever it lies."""
    whole = "/" in pattern or pattern == "*"
    return [file for file in files if fnmatchcase(file.path if whole else PurePosixPath(file.path).name, pattern)]


def _on_hub(place: Hub, session: requests.Session, known: Servers, revision: str) -> Listing:
    from huggingface_hub import constants, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise DownloadError("no network", f"{place.repo}: HF_HUB_OFFLINE is set. Unset it to download.")
    site = f"{known.hub}/datasets/{place.repo}"
    headers = {"Authorization": f"Bearer {known.hub_token}"} if known.hub_token else {}
    api = f"{known.hub}/api/datasets/{quote(place.repo)}"
    what = f"{place.repo} at {revision}"
    commit = str(_json(session, f"{api}/revision/{quote(revision, safe='')}", what, headers, site)[0]["sha"])
    files = []
    for entry in _pages(session, f"{api}/tree/{commit}?recursive=true", what, headers, site):
        if entry["type"] == "file":
            path = _inside(entry["path"], what)
            url = hf_hub_url(place.repo, path, repo_type="dataset", revision=commit, endpoint=known.hub)
            lfs = entry.get("lfs")
            checksum = f"sha256:{lfs['oid']}" if lfs else f"git:{entry['oid']}"
            files.append(RemoteFile(path, url, entry["size"], checksum, headers=tuple(headers.items()), site=site))
    return Listing(commit, tuple(files))


def _on_github(place: GitHub, session: requests.Session, known: Servers, revision: str) -> Listing:
    trees = f"{known.github_api}/repos/{quote(place.repo)}/git/trees"
    site = f"https://github.com/{place.repo}"
    what = f"{place.repo}/{place.under} at {revision}"
    tree = revision
    for name in PurePosixPath(place.under).parts:
        entries = _json(session, f"{trees}/{quote(tree, safe='')}", what, {}, site)[0]["tree"]
        found = [entry["sha"] for entry in entries if entry["path"] == name and entry["type"] == "tree"]
        if not found:
            raise DownloadError("not there", f"{what}: has no folder {name!r}. Look at {site} whether it was moved.")
        tree = str(found[0])
    answer = _json(session, f"{trees}/{tree}?recursive=1", what, {}, site)[0]
    if answer.get("truncated"):
        raise DownloadError("server", f"{what}: has more files than GitHub lists at once. Clone {site} instead.")
    raw = f"{known.github_raw}/{place.repo}/{revision}/{place.under}"
    files = (
        RemoteFile(path, f"{raw}/{quote(path)}", entry["size"], f"git:{entry['sha']}", site=site)
        for entry in answer["tree"]
        if entry["type"] == "blob"
        for path in [_inside(entry["path"], what)]
    )
    return Listing(revision, tuple(files))


def _at_url(place: Url, session: requests.Session) -> Listing:
    name = PurePosixPath(urlsplit(place.url).path).name
    size = None if isinstance(place.size_bytes, str) else place.size_bytes
    checksum = None if place.sha256 == "unknown" else f"sha256:{place.sha256}"
    try:
        with session.head(place.url, allow_redirects=True, timeout=(CONNECT_S, SILENCE_S)) as response:
            if response.status_code in (401, 403, 404):
                raise refusal(response, name)
            heads: Mapping[str, str] = response.headers if response.ok else {}
    except requests.RequestException as error:
        raise unreachable(error, name) from None
    told = heads.get("Content-Length", "")
    size = int(told) if size is None and told.isdecimal() else size
    etag = heads.get("ETag") or heads.get("Last-Modified")
    return Listing("", (RemoteFile(_inside(name, place.url), place.url, size, checksum, etag=etag),))


def _pages(
    session: requests.Session, url: str, what: str, headers: Mapping[str, str], site: str
) -> Iterator[dict[str, Answer]]:
    """Yield the items of a list that comes in pages."""
    following: str | None = url
    while following is not None:
        items, links = _json(session, following, what, headers, site)
        yield from items
        following = links.get("next", {}).get("url")


def _json(
    session: requests.Session, url: str, what: str, headers: Mapping[str, str], site: str
) -> tuple[Answer, dict[str, dict[str, str]]]:
    """Return a server's answer, and the links in its header."""
    try:
        with session.get(url, headers=dict(headers), timeout=(CONNECT_S, SILENCE_S)) as response:
            if not response.ok:
                raise refusal(response, what, site=site)
            return response.json(), {str(key): dict(value) for key, value in response.links.items()}
    except requests.exceptions.JSONDecodeError:
        raise DownloadError("server", f"{what}: the answer is no JSON, {url}. Is it the right server?") from None
    except requests.RequestException as error:
        raise unreachable(error, what) from None


def _inside(path: str, what: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or {"..", "\0"} & {*parts, *path} or "\\" in path:
        raise DownloadError("server", f"{what}: lists {path!r}, which leads out of its folder. Nothing was fetched.")
    return path
