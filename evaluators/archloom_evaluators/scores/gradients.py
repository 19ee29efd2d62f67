"""Scores of one backward pass: SNIP, "Single-shot network pruning based on connection sensitivity" (Lee,
Ajanthan and Torr 2019), and the norm of the gradients, both as "Zero-cost proxies for lightweight NAS"
(Abdelfattah, Mehrotra, Dudziak and Lane 2021) score networks by them.
"""

from __future__ import annotations

from archloom_evaluators.scores.subject import Subject


def snip(subject: Subject) -> float:
    """The sum of |weight x gradient| over all weights."""
    return sum(float((weight * gradient).abs().sum()) for weight, gradient in subject.gradients)


def grad_norm(subject: Subject) -> float:
    """The sum of the Euclidean norms of the layers' gradients."""
    return sum(float(gradient.norm()) for _, gradient in subject.gradients)
