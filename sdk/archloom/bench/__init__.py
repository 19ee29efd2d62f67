"""Measure a strategy: ``archloom bench tabular``."""
