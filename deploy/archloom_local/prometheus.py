"""Prometheus over the stack's processes, where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from archloom_local.process import Process


def find_prometheus() -> str | None:
    return shutil.which("prometheus")


def prometheus(binary: str, folder: Path, port: int, targets: Mapping[str, str]) -> Process:
    """A server that scrapes ``targets`` (name of the process -> HOST:PORT); not started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        {
            "job_name": "archloom",
            "static_configs": [
                {"targets": [address], "labels": {"process": name}} for name, address in targets.items()
            ],
        }
    ]
    configuration = {"global": {"scrape_interval": "5s"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    return Process(
        "prometheus",
        [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        folder.parent / "logs" / "prometheus.log",
    )
