"""What a controller process measures, for Prometheus.

One ``Metrics`` a process, made with the registry it is scraped from and passed to whatever reports.
The methods take plain values, so that callers need not know of Prometheus; label values come from small
closed sets (never from user input), so that the series stay few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SLOW = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


class Metrics:
    """The controller's metrics. All durations are in seconds; all counters only grow."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._rpc = self._histogram(
            "archloom_rpc_seconds", "Time from a call's arrival to its end.", _FAST, ("method", "code")
        )
        self._propose = self._histogram(
            "archloom_propose_seconds",
            "Time a strategy took to answer, rounds for state and history included.",
            _FAST,
            ("strategy", "outcome"),
        )
        self._dispatch = self._histogram(
            "archloom_dispatch_seconds",
            "Time a trial was ready before a worker leased it.",
            _SLOW,
            ("device_class",),
        )
        self._evaluate = self._histogram(
            "archloom_evaluate_seconds",
            "Time from an attempt's lease to its result.",
            _SLOW,
            ("device_class", "evaluator"),
        )
        self._step = self._histogram(
            "archloom_step_seconds",
            "Time of one engine step, the strategy's answer and the transaction included.",
            _FAST,
        )
        self._proposed = self._counter("archloom_trials_proposed", "Trials made, by role.", "role")
        self._started = self._counter("archloom_trials_started", "Attempts leased.", "device_class")
        self._finished = self._counter(
            "archloom_trials_finished", "Trials completed or found infeasible, by role.", "role"
        )
        self._failed = self._counter("archloom_trials_failed", "Trials that failed for good.", "reason")
        self._retried = self._counter(
            "archloom_attempts_failed", "Attempts that ended without result.", "reason"
        )
        self._refused = self._counter(
            "archloom_proposals_refused", "Proposals that became no trial.", "reason"
        )
        self._events = self._counter("archloom_events", "Events written to the logs.", "kind")
        self._wakeups = self._counter("archloom_wakeups", "Wake-ups sent to the broker.", "outcome")
        self._cache_hits = self._counter("archloom_cache_hits", "Trials answered by the evaluation cache.")
        self._leases_lost = self._counter(
            "archloom_leases_lost", "Attempts whose worker died, hung or was cut off."
        )
        self._queue_depth = self._gauge(
            "archloom_queue_depth", "Trials that wait for a lease.", "device_class"
        )
        self._queue_age = self._gauge(
            "archloom_queue_age_seconds", "Age of the oldest trial that waits for a lease.", "device_class"
        )
        self._experiments = self._gauge("archloom_experiments", "Experiments, by state.", "state")
        self._owned = self._gauge(
            "archloom_experiments_owned", "Experiments whose engine runs in this replica."
        )
        self._degraded = self._gauge(
            "archloom_experiments_degraded", "Experiments of this replica whose strategy cannot be used now."
        )

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    # Calls

    def rpc(self, method: str, code: str, seconds: float) -> None:
        """A call ended. ``method`` is "Service/Method", ``code`` the name of its status."""
        self._rpc.labels(method, code).observe(seconds)

    def propose(self, strategy: str, outcome: str, seconds: float) -> None:
        """A strategy answered (outcome "answered"), or did not ("unreachable", "failed")."""
        self._propose.labels(strategy, outcome).observe(seconds)

    # Engine

    def step(self, seconds: float) -> None:
        self._step.observe(seconds)

    def trials_proposed(self, role: str, count: int = 1) -> None:
        """``role`` is the lower-case name of the trials' role: "search", "control", ..."""
        self._proposed.labels(role).inc(count)

    def trials_finished(self, role: str, count: int = 1) -> None:
        self._finished.labels(role).inc(count)

    def trials_failed(self, reason: str, count: int = 1) -> None:
        """``reason`` is the lower-case name of the failure's reason: "out_of_memory", "lost", ..."""
        self._failed.labels(reason).inc(count)

    def proposals_refused(self, reason: str, count: int = 1) -> None:
        """``reason`` is one word: "duplicate", "invalid", "constraint", ..."""
        self._refused.labels(reason).inc(count)

    def cache_hits(self, count: int = 1) -> None:
        self._cache_hits.inc(count)

    def events(self, kind: str, count: int = 1) -> None:
        """``kind`` is the lower-case name of the events' kind."""
        self._events.labels(kind).inc(count)

    def owned(self, experiments: int, degraded: int) -> None:
        """How many experiments this replica owns now, and how many of these are degraded."""
        self._owned.set(experiments)
        self._degraded.set(degraded)

    # Evaluation

    def trials_started(self, device_class: str, waited_seconds: list[float]) -> None:
        """Attempts were leased; each had waited that long since it was ready."""
        self._started.labels(device_class).inc(len(waited_seconds))
        waited = self._dispatch.labels(device_class)
        for seconds in waited_seconds:
            waited.observe(seconds)

    def evaluated(self, device_class: str, evaluator: str, seconds: list[float]) -> None:
        """Attempts brought results; each that long after its lease."""
        taken = self._evaluate.labels(device_class, evaluator)
        for value in seconds:
            taken.observe(value)

    def attempts_failed(self, reason: str, count: int = 1) -> None:
        self._retried.labels(reason).inc(count)

    def leases_lost(self, count: int = 1) -> None:
        self._leases_lost.inc(count)

    def wakeups(self, outcome: str, count: int = 1) -> None:
        """Wake-ups the broker took ("sent") or did not ("failed")."""
        self._wakeups.labels(outcome).inc(count)

    # What the store says, refreshed now and then

    def queues(self, depth_and_age: Mapping[str, tuple[int, float]]) -> None:
        """Ready trials of each device class: how many, and the oldest one's age. Others have none."""
        self._queue_depth.clear()
        self._queue_age.clear()
        for device_class, (depth, age_seconds) in depth_and_age.items():
            self._queue_depth.labels(device_class).set(depth)
            self._queue_age.labels(device_class).set(age_seconds)

    def experiments(self, by_state: Mapping[str, int]) -> None:
        """Experiments in each state, whoever owns them."""
        self._experiments.clear()
        for state, count in by_state.items():
            self._experiments.labels(state).set(count)
