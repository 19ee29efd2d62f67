"""The worker's Prometheus metrics. Import this after ``metrics.prepare_folder``."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

STARTED = Counter("archloom_evaluator_trials_started_total", "Attempts begun.", ["evaluator", "role"])
FINISHED = Counter("archloom_evaluator_trials_finished_total", "Attempts completed.", ["evaluator", "role"])
FAILED = Counter(
    "archloom_evaluator_trials_failed_total", "Attempts failed, by reason.", ["evaluator", "reason"]
)
DROPPED = Counter(
    "archloom_evaluator_attempts_dropped_total", "Attempts stopped or yielded.", ["evaluator", "cause"]
)
STALE = Counter(
    "archloom_evaluator_attempts_stale_total", "Ends of attempts that had lost their lease meanwhile."
)
EVALUATE_SECONDS = Histogram(
    "archloom_evaluator_evaluate_seconds",
    "Device time of an attempt that completed.",
    ["evaluator"],
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 14400, 86400),
)
HEARTBEATS_FAILED = Counter(
    "archloom_evaluator_heartbeats_failed_total", "Heartbeats that the controller did not answer."
)
BUSY = Gauge(
    "archloom_evaluator_busy_share",
    "Busy share of each process's device, 0 to 1, since its last heartbeat.",
    ["device"],
    multiprocess_mode="liveall",
)
RUNNING = Gauge(
    "archloom_evaluator_attempts_running", "Attempts held by live processes.", multiprocess_mode="livesum"
)
