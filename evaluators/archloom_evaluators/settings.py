"""What a worker process is told: environment variables that begin with ARCHLOOM_."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from archloom_evaluators.data.paths import Roots


class WorkerSettings(BaseSettings):
    """Environment variables of an evaluator worker."""

    model_config = SettingsConfigDict(env_prefix="ARCHLOOM_", extra="ignore")

    server: str = Field(
        default="127.0.0.1:7461", description="HOST:PORT of the controller; https://HOST:PORT for TLS."
    )
    token: str = Field(default="", description="Sent with every call when it is set.")
    broker_url: str = Field(default="redis://127.0.0.1:6379/0", description="The Celery broker.")
    device_class: str = Field(
        default="cpu", pattern=r"^[a-z][a-z0-9_.-]{0,62}$", description="The work this worker takes."
    )
    labels: str = Field(
        default="",
        pattern=r"^([^,=\s]+=[^,=]+(,[^,=\s]+=[^,=]+)*)?$",
        description="What this worker is: name=value, with commas. Specs ask for it as worker_labels.",
    )
    data_roots: str = Field(
        default="", description="Folders that data sets named by path may lie in, by colons."
    )
    metrics_listen: str = Field(
        default="", description="HOST:PORT of the Prometheus page; empty turns it off."
    )
    threads: int = Field(
        default=1, ge=1, le=1024, description="Threads of torch on the CPU, for each process."
    )
    lease_wait_seconds: float = Field(
        default=1.0, ge=0, le=30, description="How long a lease call waits for work."
    )
    lease_trials: int = Field(default=256, ge=1, le=1000, description="Short trials taken at once, at most.")

    @property
    def label_values(self) -> dict[str, str]:
        return dict(each.split("=", 1) for each in self.labels.split(",") if each)

    @property
    def roots(self) -> Roots:
        """The folders that data may be read from."""
        return Roots(tuple(Path(part) for part in self.data_roots.split(":") if part))


@lru_cache(maxsize=1)
def worker_settings() -> WorkerSettings:
    """The settings of this process, read once."""
    return WorkerSettings()
