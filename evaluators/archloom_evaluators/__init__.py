"""Evaluators: Celery workers that train, score and export architectures."""
