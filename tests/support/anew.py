"""A space's judgement without what it remembers: of what it made itself, too."""

from __future__ import annotations

from archloom.space import Architecture, Space, SpaceError, Violation


def faults_anew(space: Space, architecture: Architecture) -> list[Violation]:
    """What is wrong with the architecture, as if it came from elsewhere: a space does not look again through
    decisions that it made, nor build a network whose shapes it knows to fit.
    """
    told = Architecture(architecture.decisions)
    if faults := space.check(told):
        return faults
    try:
        space.graph(told)
        space.recipe(told)
    except SpaceError as error:
        return list(error.violations)
    return []
