"""Content-addressed bytes on an fsspec path, and how they get there."""

from archloom_controller.artifacts.store import ArtifactStore, Upload

__all__ = ["ArtifactStore", "Upload"]
