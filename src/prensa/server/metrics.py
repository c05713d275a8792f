"""What a server counts, in the format of Prometheus. No label and no number shows anything of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

# From a text that is answered at once to a request that waits for as long as one may.
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)
_TOKENS = (16, 64, 256, 1024, 4096, 16384)


class _OfCascade(Collector):
    """Texts by the model of a cascade that answered them, as its own counters say when they are asked."""

    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Yield the counter."""
        family = CounterMetricFamily(
            "prensa_cascade_texts", "Texts by the model of the cascade that answered them.", labels=["model"]
        )
        for model, count in self._counts().items():
            family.add_metric([model], count)
        yield family


class Metrics:
    """The counters of one server. They may be changed from any thread."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        """Start at zero, apart from all other servers of the process."""
        registry = CollectorRegistry()
        self._registry = registry
        self._requests = Counter(
            "prensa_requests", "Requests by route and status.", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "prensa_request_seconds",
            "Seconds from a request to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._waited = Histogram(
            "prensa_queue_seconds",
            "Seconds that a request's texts waited.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "prensa_batch_seconds", "Seconds that a batch took.", buckets=_SECONDS, registry=registry
        )
        self._batch_texts = Histogram(
            "prensa_batch_texts", "Texts of a batch.", buckets=_TEXTS, registry=registry
        )
        self._batch_tokens = Histogram(
            "prensa_batch_tokens",
            "Tokens of a batch, padding included.",
            buckets=_TOKENS,
            registry=registry,
        )
        self._tokens = Counter("prensa_tokens", "Tokens of texts, without padding.", registry=registry)
        self._replaced = Counter("prensa_workers_replaced", "Workers that ended.", registry=registry)

    def watch(self, texts: Callable[[], float], tokens: Callable[[], float]) -> None:
        """Show how many texts and tokens wait, as the two functions say when they are asked."""
        waiting = Gauge("prensa_queue_texts", "Texts that wait.", registry=self._registry)
        waiting.set_function(texts)
        waiting_tokens = Gauge("prensa_queue_tokens", "Tokens that wait.", registry=self._registry)
        waiting_tokens.set_function(tokens)

    def watch_cascade(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Show how many texts each model of a cascade has answered, as the function says when it is asked."""
        self._registry.register(_OfCascade(counts))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def waited(self, seconds: float) -> None:
        """Count how long a request was in the line."""
        self._waited.observe(seconds)

    def batch(self, lengths: Sequence[int], seconds: float) -> None:
        """Count a batch of texts of these lengths."""
        self._batch_seconds.observe(seconds)
        self._batch_texts.observe(len(lengths))
        self._batch_tokens.observe(len(lengths) * max(lengths))
        self._tokens.inc(sum(lengths))

    def replaced(self) -> None:
        """Count a worker that ended."""
        self._replaced.inc()

    def render(self) -> bytes:
        """Return all of it as text."""
        return generate_latest(self._registry)
