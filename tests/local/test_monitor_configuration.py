"""Prometheus is told every process of the stack, by name."""

from __future__ import annotations

from pathlib import Path

import yaml
from archloom_local.prometheus import prometheus


def test_every_process_is_a_target(tmp_path: Path) -> None:
    targets = {"controller-1": "127.0.0.1:9001", "worker-1": "127.0.0.1:9002"}
    process = prometheus("/usr/bin/prometheus", tmp_path / "prometheus", 9090, targets)
    assert "--web.listen-address=127.0.0.1:9090" in process.command
    (flag,) = [word for word in process.command if word.startswith("--config.file=")]
    told = yaml.safe_load(Path(flag.partition("=")[2]).read_text())
    (job,) = told["scrape_configs"]
    assert {part["labels"]["process"]: part["targets"] for part in job["static_configs"]} == {
        name: [address] for name, address in targets.items()
    }
