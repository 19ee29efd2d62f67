"""Every requirement on a strategy, in the order in which they are looked at."""

from archloom.testing.kit import Requirement
from archloom.testing.requirements import answers, offers, proposals, trials

REQUIREMENTS: tuple[Requirement, ...] = (
    *offers.REQUIREMENTS,
    *answers.REQUIREMENTS,
    *proposals.REQUIREMENTS,
    *trials.REQUIREMENTS,
)

__all__ = ["REQUIREMENTS"]
