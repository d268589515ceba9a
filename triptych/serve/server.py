"""The server: models over HTTP in OpenAI's shapes, with limits, keys, metrics and a page; one process.

Not the endpoints (``api/routes.py``), and no load balancer or TLS: put a proxy before it where strangers come. It
listens on this machine alone unless told otherwise; on another address it wants a key.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from triptych.core.errors import ConfigError, ModelError
from triptych.core.full_disk import NO_ROOM
from triptych.core.log import say
from triptych.serve.api.bodies import Bodies
from triptych.serve.api.errors import ApiError
from triptych.serve.api.features import BoundedFeatures
from triptych.serve.api.gate import Gate
from triptych.serve.api.keys import Keys, read_keys
from triptych.serve.api.media import Shelf
from triptych.serve.api.metrics import Metrics
from triptych.serve.api.routes import FETCH_THREADS, THREADS, VIDEO_THREADS, Desk, Served, routes_of
from triptych.serve.api.scores import ScoreDesk
from triptych.serve.api.settings import ServeSettings
from triptych.serve.api.votes import Votes
from triptych.serve.speaking import LocalTalker

if TYPE_CHECKING:  # networks are loaded when one is opened
    from triptych.infer.engine.engine import EngineSettings
    from triptych.models.family import Model

PAGE = Path(__file__).parent / "page"
"""The page's files."""
CLIENT_GONE = 499
"""Status of a request whose client went away, in the metrics; nobody reads it."""
ENDING_S = 5
"""Seconds that what is under way has when the server is ended; then it is told so."""
TELLING_S = 2
"""Seconds in which that is told; then connections are closed."""


def build_app(
    served: Sequence[Served],
    settings: ServeSettings,
    *,
    folder: Path,
    keys: Keys | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """Return the application.

    Args:
        served: the models, by names of their own.
        settings: limits.
        folder: for requests' pictures; empty, and nobody else's.
        keys: who may ask; None: everybody who reaches it.
        clock: seconds since 1970.

    Raises:
        ConfigError: two models of one name.
    """
    models = {each.name: each for each in served}
    if len(models) < len(served):
        raise ConfigError(f"two models are called {served[0].name}: serve one of them.")
    shelf = Shelf(folder, most_bytes=settings.media_bytes)
    states = {each.name: each.talker.state for each in served if isinstance(each.talker, LocalTalker)}
    metrics = Metrics(states, media_bytes=lambda: shelf.bytes)
    ending = asyncio.Event()
    desk = Desk(
        models=models,
        settings=settings,
        shelf=shelf,
        bodies=Bodies(settings),
        metrics=metrics,
        votes=Votes(settings.votes_path, names=list(models), most_bytes=settings.votes_bytes),
        clock=clock,
        threads=anyio.CapacityLimiter(THREADS),
        fetch_threads=anyio.CapacityLimiter(FETCH_THREADS),
        video_threads=anyio.CapacityLimiter(VIDEO_THREADS),
        broken=set(),
        ending=ending,
    )
    app = FastAPI(title="Triptych", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.ending = ending
    app.include_router(routes_of(desk))
    if PAGE.is_dir():
        app.mount("/", StaticFiles(directory=PAGE, html=True))
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(ClientDisconnect, _refuse)
    app.add_exception_handler(OSError, _refuse_full)
    app.add_exception_handler(Exception, _refuse)
    app.add_middleware(
        Gate,
        keys=keys or Keys(),
        names=_names(settings, with_keys=bool(keys)),
        most=settings.connections,
        watch=metrics.request,
    )
    return app


@contextmanager
def serving(models: Sequence[str], settings: ServeSettings) -> Iterator[FastAPI]:
    """Open models, give the application, and close them at the end.

    Raises:
        ConfigError: others would reach it without a key, a key is none, or two models have one name.
        NotFoundError, ModelError: as ``open_talker``.
    """
    keys = read_keys(settings.keys)
    check_reach(settings, keys)
    if len(set(models)) < len(models):
        raise ConfigError(f"two models are called {models[0]}: serve one of them.")
    opened: list[Served] = []
    with tempfile.TemporaryDirectory(prefix="triptych-serve-") as folder:
        try:
            for number, model in enumerate(models):
                opened.append(_open(model, settings, Path(folder) / f"features-{number}"))
            yield build_app(opened, settings, folder=Path(folder) / "media", keys=keys)
        finally:
            for each in opened:
                if each.talker is not None:
                    each.talker.close()
                if each.desk is not None:
                    each.desk.close()


def run(models: Sequence[str], settings: ServeSettings) -> None:
    """Serve until interrupted or ended. Raises as ``serving``; ConfigError too where the port cannot be used."""
    with _ended_as_interrupted(), _listening(settings) as listener, serving(models, settings) as app:
        host, port = listener.getsockname()[:2]
        shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{port}"
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=ENDING_S + TELLING_S,
        )
        listener.listen(config.backlog)  # before it is told of: whoever reads the line and connects at once is heard
        say(f"{address}/v1 answers as {' and '.join(models)}; the page is {address}/. End with Ctrl-C.")
        if not is_local(settings.host):
            say("others reach this address" + (", without a key." if settings.open else "; it wants a key."))
        with suppress(KeyboardInterrupt):
            TellingServer(config, app.state.ending).run(sockets=[listener])


class TellingServer(uvicorn.Server):
    """A server that tells those who still wait that it ends, before it hangs up."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event, *, ending_s: float = ENDING_S) -> None:
        """Take what the application waits for, and how long after a signal it comes."""
        super().__init__(config)
        self._ending = ending
        self._ending_s = ending_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and wait for those under way."""
        asyncio.get_running_loop().call_later(self._ending_s, self._ending.set)
        await super().shutdown(sockets)


@contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """Let SIGTERM, and a terminal that closes, end the block as Ctrl-C does: what it keeps on the disk is removed.

    uvicorn hears SIGTERM while it runs, ends, and raises it again for whoever had it before: by default, the process
    is gone then.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone may
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if before[signal.SIGHUP] is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_reach(settings: ServeSettings, keys: Keys) -> None:
    """Refuse to let others in without a key, unless that is wanted. Raises ConfigError."""
    if not (is_local(settings.host) or keys or settings.open):
        raise ConfigError(
            f"host={settings.host}: others reach it, and there is no key. Set TRIPTYCH_SERVE_KEYS in the environment or"
            " give keys=FILE; open=true lets everybody in."
        )


def is_local(host: str) -> bool:
    """Tell whether only this machine reaches an address to listen on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """Take the port, before a model is opened. Raises ConfigError."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"host={settings.host}: no address to listen on ({error}).") from None
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise ConfigError(
                f"{settings.host}, port {settings.port} cannot be used ({error.strerror}). Give another: port=8001."
            ) from None
        yield listener


def _open(model: str, settings: ServeSettings, folder: Path) -> Served:
    """Open one model: who talks, and who scores."""
    from triptych.infer.engine.engine import EngineSettings
    from triptych.infer.settings import EndpointSettings, address_of

    if address := address_of(model):
        from triptych.serve.endpoint import EndpointTalker

        endpoint = EndpointSettings(timeout_s=settings.seconds, concurrency=settings.rows)
        talker = EndpointTalker(address, endpoint, queue=settings.queue)
        return Served(talker.name, talker, None)
    return _open_here(
        model,
        EngineSettings(
            rows=settings.rows, tokens=settings.tokens, queue=settings.queue, prefix_tokens=settings.prefix_tokens
        ),
        settings,
        folder,
    )


def _open_here(model: str, engine: EngineSettings, settings: ServeSettings, folder: Path) -> Served:
    from triptych.infer.scores import Scorer
    from triptych.models.memory.placement import open_to_answer

    say(f"opening {model}")
    opened = open_to_answer(model, device=settings.device, precision=settings.precision)
    features = BoundedFeatures(opened, folder / "words", most_bytes=settings.feature_bytes)
    if opened.score_head is None:
        return Served(model, LocalTalker(opened, features=features, name=model, settings=engine), None)
    try:
        talker = LocalTalker(opened, features=features, name=model, settings=engine)
    except ModelError:
        talker = None  # published for scores alone
    scoring = opened
    if talker is not None:
        scoring = twin_of(opened)  # two threads use them
    store = BoundedFeatures(scoring, folder / "scores", most_bytes=settings.feature_bytes)
    return Served(model, talker, ScoreDesk(Scorer(scoring, features=store), name=model, queue=settings.queue))


def twin_of(model: Model) -> Model:
    """Return a model for a second thread, with the first one's very weights."""
    weights = chain(model.network.parameters(), model.network.buffers())
    return deepcopy(model, {id(tensor): tensor for tensor in weights})


def _names(settings: ServeSettings, *, with_keys: bool) -> tuple[str, ...]:
    """Return the names of this server; with keys any is one, as no stranger's page knows a key."""
    if with_keys and not settings.names:
        return ("*",)
    return (*settings.names, settings.host)


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer with an error of OpenAI's shape."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_GONE)
    if isinstance(error, HTTPException):
        known = {
            404: f"there is nothing at {request.url.path[:200]}.",
            405: f"{request.method[:20]} is not taken by {request.url.path[:200]}.",
        }
        message = known.get(error.status_code, str(error.detail))
        error = ApiError(error.status_code, message, code="unknown_url", headers=error.headers)
    if not isinstance(error, ApiError):
        error = ApiError(500, f"the server failed ({type(error).__name__}); its log says why.", code="internal")
    return error.response()


async def _refuse_full(request: Request, error: Exception) -> Response:
    """Answer where the server's disk takes no more, and say so in the log. Raises what is another error."""
    if not (isinstance(error, OSError) and error.errno in NO_ROOM):
        raise error
    line = f"{error.filename}: the server's disk is full. Make room there, and ask again."
    say(line)
    return ApiError(507, line, code="full").response()
