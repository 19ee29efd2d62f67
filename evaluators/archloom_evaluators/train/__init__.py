"""The ``train`` evaluator: builds an architecture in torch, trains it, scores it, exports it."""
