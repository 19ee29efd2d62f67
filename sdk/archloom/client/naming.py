"""Names as people give them: short within the client's project, or whole."""

from __future__ import annotations

from archloom.resources import ArtifactName, ExperimentName, ProjectName


def project_of(name: str) -> ProjectName:
    """A project by its short name."""
    return ProjectName.parse(str(ProjectName(name)), "project")


def experiment_of(name: str, project: ProjectName) -> ExperimentName:
    """An experiment by its whole name, or by its last part within the project."""
    whole = name if "/" in name else str(ExperimentName(project.project, name))
    return ExperimentName.parse(whole, "experiment")


def digest_of(name: str) -> str:
    """The sha256, in hex, that an artifact is named by."""
    return ArtifactName.parse(name, "artifact").digest
