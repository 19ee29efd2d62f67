"""What may go wrong between spaces and other people's torch code."""

from __future__ import annotations

from archloom.errors import ArchloomError


class ExportError(ArchloomError):
    """The network cannot be written as a file that stands alone; the message names the layer at fault."""


class ImportFailed(ArchloomError):
    """The module cannot become a space, or a patch does not fit it; the message says what to do."""
