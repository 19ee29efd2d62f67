"""Names of resources: the only place where they are parsed and put together."""

from __future__ import annotations

import re
from dataclasses import dataclass

from archloom.errors import InvalidInput, Violation

_ID = r"[a-z][a-z0-9-]{0,62}"
_PROJECT = re.compile(rf"projects/({_ID})")
_EXPERIMENT = re.compile(rf"projects/({_ID})/experiments/({_ID})")
_TRIAL = re.compile(rf"projects/({_ID})/experiments/({_ID})/trials/([1-9][0-9]{{0,17}})")
_ARTIFACT = re.compile(rf"projects/({_ID})/artifacts/([0-9a-f]{{64}})")


def _match(pattern: re.Pattern[str], name: str, form: str, field: str) -> re.Match[str]:
    found = pattern.fullmatch(name)
    if found is None:
        raise InvalidInput([Violation(field, f"{name!r} is not of the form {form!r}")])
    return found


@dataclass(frozen=True)
class ProjectName:
    project: str

    def __str__(self) -> str:
        return f"projects/{self.project}"

    @classmethod
    def parse(cls, name: str, field: str = "parent") -> ProjectName:
        return cls(_match(_PROJECT, name, "projects/{project}", field)[1])


@dataclass(frozen=True)
class ExperimentName:
    project: str
    experiment: str

    def __str__(self) -> str:
        return f"projects/{self.project}/experiments/{self.experiment}"

    @classmethod
    def parse(cls, name: str, field: str = "name") -> ExperimentName:
        found = _match(_EXPERIMENT, name, "projects/{project}/experiments/{experiment}", field)
        return cls(found[1], found[2])

    def trial(self, number: int) -> TrialName:
        return TrialName(self.project, self.experiment, number)


@dataclass(frozen=True)
class TrialName:
    project: str
    experiment: str
    number: int

    def __str__(self) -> str:
        return f"projects/{self.project}/experiments/{self.experiment}/trials/{self.number}"

    @classmethod
    def parse(cls, name: str, field: str = "name") -> TrialName:
        form = "projects/{project}/experiments/{experiment}/trials/{number}"
        found = _match(_TRIAL, name, form, field)
        return cls(found[1], found[2], int(found[3]))

    @property
    def parent(self) -> ExperimentName:
        return ExperimentName(self.project, self.experiment)


@dataclass(frozen=True)
class ArtifactName:
    project: str
    digest: str

    def __str__(self) -> str:
        return f"projects/{self.project}/artifacts/{self.digest}"

    @classmethod
    def parse(cls, name: str, field: str = "name") -> ArtifactName:
        found = _match(_ARTIFACT, name, "projects/{project}/artifacts/{sha256}", field)
        return cls(found[1], found[2])
