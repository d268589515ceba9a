"""What is counted for Prometheus, in a registry of the server's own.

Labels are few and known beforehand: endpoints, statuses, models that are served. Nothing of what is said is in here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from triptych.infer.engine.engine import EngineState
from triptych.infer.engine.ticket import Usage

ENDPOINTS = (
    *("/v1/chat/completions", "/v1/models", "/v1/layout", "/v1/score", "/v1/votes"),
    *("/health", "/metrics", "/"),
)
SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
STATES = ("running", "waiting", "tokens_held", "prefix_tokens", "failed", "refused", "cancelled")


class Metrics:
    """Counts of one server."""

    def __init__(self, states: Mapping[str, Callable[[], EngineState]], *, media_bytes: Callable[[], int]) -> None:
        """Begin at zero.

        Args:
            states: of the models in this process, by name.
            media_bytes: of pictures on the disk.
        """
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("triptych_requests", "Requests.", ("endpoint", "status"), registry=registry)
        self._seconds = Histogram(
            "triptych_request_seconds", "From a request to its end.", ("endpoint",), buckets=SECONDS, registry=registry
        )
        self._first = Histogram(
            "triptych_first_token_seconds", "To a reply's first words.", ("model",), buckets=SECONDS, registry=registry
        )
        self._tokens = Counter("triptych_tokens", "Tokens, by kind.", ("model", "kind"), registry=registry)
        media = Gauge("triptych_media_bytes", "Of pictures on the disk.", registry=registry)
        media.set_function(media_bytes)
        registry.register(_States(states))

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        found = path if path in ENDPOINTS else None
        endpoint = found or ("/v1/models" if path.startswith("/v1/models/") else "other")
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def first_token(self, model: str, seconds: float) -> None:
        """Count the wait for a reply's first words."""
        self._first.labels(model).observe(seconds)

    def usage(self, model: str, usages: Iterable[Usage]) -> None:
        """Count what replies took."""
        for usage in usages:
            for kind, count in (
                ("prompt", usage.tokens_in),
                ("cached", usage.cached_tokens),
                ("image", usage.image_tokens),
                ("completion", usage.tokens_out),
            ):
                self._tokens.labels(model, kind).inc(count)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self._registry)


class _States(Collector):
    """Engines, looked at when somebody asks."""

    def __init__(self, states: Mapping[str, Callable[[], EngineState]]) -> None:
        self._states = states

    def collect(self) -> Iterator[Metric]:
        for name in STATES:
            family = GaugeMetricFamily(f"triptych_engine_{name}", f"Of a model: {name}.", labels=["model"])
            for model, state in self._states.items():
                family.add_metric([model], getattr(state(), name))
            yield family
