"""docs/configuration.md names every setting, and only settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

from archloom_controller.settings import Settings
from archloom_evaluators.settings import WorkerSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
#: Read by the client and the local stack, which have no settings class.
OTHERS = {"ARCHLOOM_SERVER", "ARCHLOOM_TOKEN", "ARCHLOOM_PROJECT", "ARCHLOOM_TLS_CA", "ARCHLOOM_HOME"}


def test_the_page_lists_the_settings() -> None:
    listed = set(re.findall(r"`(ARCHLOOM_[A-Z_]+)`", PAGE.read_text()))
    fields = {*Settings.model_fields, *WorkerSettings.model_fields}
    assert listed == {f"ARCHLOOM_{name.upper()}" for name in fields} | OTHERS
