"""Content behind http(s) URLs, fetched once and kept in the cache folder under its SHA-256. On request only.

Not a downloader of data sets, and not for hosts of one's own network: names are resolved here, every address must be a
public one, and the connection goes to the very address that was checked, for each redirect anew. So no data file can
make this machine ask its neighbours. Proxies of the environment are not used, nothing is sent but the request, and
bytes, seconds and redirects are limited.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from triptych.core.errors import DataError, quoted
from triptych.core.files import cache_folder, write_atomically

MAX_BYTES = 32 << 20
"""Most bytes of what is fetched, unless told otherwise."""
TIMEOUT_S = 30.0
"""Seconds for all of it, redirects included."""
MAX_REDIRECTS = 5

_CHUNK_BYTES = 1 << 16
_MOVED = frozenset({301, 302, 303, 307, 308})
_ENDING = re.compile(r"\.(jpe?g|png|webp|gif|bmp|tiff?|avif|jp2|mp4|webm|mkv)$", re.IGNORECASE)
"""Endings of a URL's path that a kept file keeps."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out for the whole net. What lies beside it leads nowhere, or home: site-local addresses,
translators' own prefixes, IPv4 addresses in old clothes. ``is_global`` of some Pythons lets those pass."""
_NOBODYS = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("3fff::/20"))
"""Addresses reserved for protocols and for documentation; ``is_global`` of some Pythons lets these pass too."""
_SAFE = "/%:@!$&'()*+,;=-._~"
_HEADERS = {"User-Agent": "triptych", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class FetchError(DataError):
    """A URL that is not fetched. Its message names the URL and the remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """``url not allowed``, ``url not reached``, ``url too large``."""

    def __reduce__(self) -> tuple[type[FetchError], tuple[str, str]]:
        return FetchError, (self.reason, str(self))


def fetch(url: str, *, allow_private: bool = False, max_bytes: int = MAX_BYTES, timeout_s: float = TIMEOUT_S) -> Path:
    """Return a file with what is behind a URL. One that was fetched before is not asked for again.

    Args:
        url: http or https, without a name and a password in it.
        allow_private: also ask loopback, private, link-local and reserved addresses.
        max_bytes: what is longer is refused.
        timeout_s: seconds for all of it.

    Raises:
        FetchError: ``url not allowed``, ``url not reached``, ``url too large``; a DataError.
        ConfigError: the cache folder cannot be made.
    """
    _parts(url, url)
    known = cache_folder() / "urls" / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
    if known.exists() and (path := cache_folder() / known.read_text("utf-8")).exists():
        return path
    content = _follow(url, allow_private=allow_private, max_bytes=max_bytes, deadline=time.monotonic() + timeout_s)
    sha = hashlib.sha256(content).hexdigest()
    ending = _ENDING.search(urlsplit(url).path)
    path = cache_folder() / "images" / sha[:2] / f"{sha}{ending[0].lower() if ending else ''}"
    if not path.exists():
        write_atomically(path, content)
    write_atomically(known, path.relative_to(cache_folder()).as_posix())
    return path


def fetch_bytes(
    url: str,
    *,
    allowed: Callable[[str], bool],
    allow_private: bool = False,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """Return what is behind a URL, as ``fetch`` does, and keep it nowhere.

    Args:
        url: http or https, without a name and a password in it.
        allowed: whether a host may be asked, in lower case and without a dot at its end: of the URL, and wherever a
            redirect leads.
        allow_private: also ask loopback, private, link-local and reserved addresses.
        max_bytes: what is longer is refused.
        timeout_s: seconds for all of it.

    Raises:
        FetchError: as ``fetch``; a DataError.
    """
    deadline = time.monotonic() + timeout_s
    return _follow(url, allow_private=allow_private, max_bytes=max_bytes, deadline=deadline, allowed=allowed)


def _follow(
    url: str,
    *,
    allow_private: bool,
    max_bytes: int,
    deadline: float,
    allowed: Callable[[str], bool] | None = None,
) -> bytes:
    at = url
    for _ in range(MAX_REDIRECTS + 1):
        parts = _parts(at, url)
        if allowed is not None and not allowed(str(parts.hostname).lower().rstrip(".")):
            raise FetchError("url not allowed", f"{quoted(url)}: it leads to {parts.hostname}, which may not be asked.")
        address = _address(parts, url, allow_private)
        try:
            with _response(parts, address, deadline) as response:
                if response.status not in _MOVED:
                    return _content(response, url, max_bytes, deadline)
                at = urljoin(at, response.headers.get("Location", ""))
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, FetchError):
                raise
            said = "it took too long" if time.monotonic() >= deadline else str(error) or type(error).__name__
            raise _not_reached(url, said) from None
    raise _not_reached(url, f"more than {MAX_REDIRECTS} redirects")


def _parts(url: str, asked: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise FetchError("url not allowed", f"{quoted(asked)}: no http or https URL. Mend it, or put a file there.")
    if parts.username is not None or parts.password is not None:
        raise FetchError("url not allowed", f"{quoted(asked)}: a name or a password in it. Fetch it yourself.")
    return parts


def _address(parts: SplitResult, asked: str, allow_private: bool) -> tuple[str, int]:
    """Return the address and port to connect to. Raises FetchError: the name has none, or one that is not public."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise _not_reached(asked, f"{parts.hostname} has no address ({error})") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not (allow_private or _is_public(address)):
            raise FetchError(
                "url not allowed",
                f"{quoted(asked)}: {parts.hostname} is {address}, which is no public address. Put a file there, or let"
                " who runs this allow private addresses (fetch_private=true; for data #urls=private).",
            )
    return addresses[0], port


def _is_public(text: str) -> bool:
    return all(_is_worldwide(address) for address in _meant(text))


def _is_worldwide(address: Address) -> bool:
    if address.version == 6 and address not in _UNICAST:
        return False
    return address.is_global and not address.is_multicast and not any(address in net for net in _NOBODYS)


def _meant(text: str) -> Iterator[Address]:
    """Yield what an address leads to: itself, and the IPv4 addresses that it carries inside."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


@contextmanager
def _response(parts: SplitResult, address: tuple[str, int], deadline: float) -> Iterator[http.client.HTTPResponse]:
    """Ask one address, and hang up at the deadline, whatever the other side does."""
    host = parts.hostname or ""
    connection = http.client.HTTPConnection(host, address[1])
    with socket.create_connection(address, timeout=_left(deadline)) as plain:
        held = plain
        if parts.scheme == "https":
            held = ssl.create_default_context().wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        clock = threading.Timer(_left(deadline), _hang_up, [held])
        clock.daemon = True
        clock.start()
        try:
            if isinstance(held, ssl.SSLSocket):
                held.do_handshake()
            connection.sock = held
            query = f"?{quote(parts.query, safe=_SAFE + '?')}" if parts.query else ""
            path = quote(parts.path or "/", safe=_SAFE) + query
            connection.request("GET", path, headers={**_HEADERS, "Host": _host(parts)})
            with connection.getresponse() as response:
                yield response
        finally:
            clock.cancel()
            connection.close()
            held.close()


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # The other side was faster.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").encode("idna").decode("ascii")
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"


def _content(response: http.client.HTTPResponse, asked: str, max_bytes: int, deadline: float) -> bytes:
    if response.status != 200:
        raise _not_reached(asked, f"the answer is {response.status} {response.reason}")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _not_reached(asked, "the answer is packed, which was not asked for")
    content = bytearray()
    if (response.length or 0) <= max_bytes:
        while len(content) <= max_bytes and (chunk := response.read(_CHUNK_BYTES)):
            content += chunk
    if time.monotonic() >= deadline:  # Who hung up was we: without a length, that looks like a good end.
        raise TimeoutError
    if (response.length or 0) + len(content) > max_bytes:
        raise FetchError("url too large", f"{quoted(asked)}: more than {max_bytes:,} bytes. Put a smaller file there.")
    if response.length:
        raise _not_reached(asked, f"the answer ends {response.length} bytes early")
    return bytes(content)


def _not_reached(url: str, said: str) -> FetchError:
    said = said.replace("\n", " ")
    return FetchError("url not reached", f"{quoted(url)}: not reached ({said}). Try again, or put a file there.")
