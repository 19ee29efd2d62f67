"""The worker: leases trials, runs them, reports; whatever the evaluator."""
