"""The folders that an operator allows data to be read from. No path escapes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archloom_evaluators.failures import EvaluationFailure, Reason


@dataclass(frozen=True)
class Roots:
    """Allowed folders. Relative paths are looked up in each root in turn."""

    folders: tuple[Path, ...] = ()

    def resolve(self, text: str) -> Path:
        """The real path of a file or folder under a root, symbolic links followed.

        Raises EvaluationFailure with DATA when it lies outside every root, or does not exist.
        """
        if not text or "\x00" in text:
            raise EvaluationFailure(Reason.DATA, f"{text!r} is not a path")
        real_roots = [folder.resolve() for folder in self.folders]
        candidates = [Path(text)] if Path(text).is_absolute() else [root / text for root in real_roots]
        missing = False
        for candidate in candidates:
            real = candidate.resolve()
            if any(real.is_relative_to(root) for root in real_roots):
                if real.exists():
                    return real
                missing = True
        if missing:
            raise EvaluationFailure(Reason.DATA, f"{text!r} does not exist under the allowed data roots")
        raise EvaluationFailure(Reason.DATA, f"{text!r} lies outside the folders of ARCHLOOM_DATA_ROOTS")

    def holds(self, path: Path) -> bool:
        """Whether a path, symbolic links followed, lies under a root."""
        real = path.resolve()
        return any(real.is_relative_to(folder.resolve()) for folder in self.folders)
