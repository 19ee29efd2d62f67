"""The scores there are. Of each, more promises a better network; docs/proxies.md says how far to trust it."""

from __future__ import annotations

from archloom_evaluators.evaluator import Proxy

CATALOGUE: tuple[Proxy, ...] = (
    Proxy("parameters", "The number of weights."),
    Proxy("flops", "Multiply-adds of one example."),
    Proxy(
        "synflow", "Log of the synaptic flow, with absolute weights and ones as input (Tanaka et al. 2020)."
    ),
    Proxy("naswot", "Log-determinant of the kernel of activation codes of a batch (Mellor et al. 2021)."),
    Proxy("jacob_cov", "How little the input gradients of a batch correlate (Mellor et al. 2020)."),
    Proxy("snip", "Sum of |weight x gradient| over the weights, on one batch (Lee et al. 2019)."),
    Proxy("grad_norm", "Sum of the gradient norms of the layers, on one batch (Abdelfattah et al. 2021)."),
    Proxy("zen", "Log of the Gaussian complexity, with the scales of the norms (Lin et al. 2021)."),
)
NAMES: tuple[str, ...] = tuple(proxy.name for proxy in CATALOGUE)
