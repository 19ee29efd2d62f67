"""Files of artifacts. Everything here blocks: call it in a thread.

Layout below the root, names made of checked parts only::

    {project}/blobs/{digest[:2]}/{digest}      an artifact, whole
    {project}/uploads/{upload}/{offset}-{length}   a chunk that arrived
    {project}/uploads/{upload}/{random}.whole      what will become the artifact
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from typing import IO, Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

_COPY_BYTES = 1024 * 1024


class Blobs:
    """Any filesystem fsspec knows. A file appears under its final name whole or not at all."""

    def __init__(self, url: str) -> None:
        """Raises OSError, ValueError or ImportError where the place cannot be used."""
        self._fs: Any
        self._fs, root = url_to_fs(url)
        self._root = root.rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)
        self._fs.makedirs(self._root, exist_ok=True)

    def has(self, project: str, digest: str) -> bool:
        return bool(self._fs.exists(self._blob(project, digest)))

    def put_chunk(self, project: str, upload: str, offset: int, data: bytes) -> None:
        """Repeating it is safe: the same name always holds the same bytes."""
        path = self._chunk(project, upload, offset, len(data))
        self._fs.makedirs(self._folder(project, upload), exist_ok=True)
        if not self._local:
            self._fs.pipe_file(path, data)
            return
        partial = f"{path}.{secrets.token_hex(8)}.partial"
        with self._fs.open(partial, "wb") as file:
            file.write(data)
            self._settle(file)
        os.replace(partial, path)

    def assemble(self, project: str, upload: str, lengths: Sequence[int]) -> tuple[str, str]:
        """Join the chunks; path and sha256 of the whole. Raises FileNotFoundError when a chunk is gone."""
        hasher, size = hashlib.sha256(), 0
        self._fs.makedirs(self._folder(project, upload), exist_ok=True)
        path = f"{self._folder(project, upload)}/{secrets.token_hex(8)}.whole"
        with self._fs.open(path, "wb") as whole:
            for length in lengths:
                with self._fs.open(self._chunk(project, upload, size, length), "rb") as chunk:
                    for piece in _pieces(chunk):
                        hasher.update(piece)
                        whole.write(piece)
                size += length
            self._settle(whole)
        return path, hasher.hexdigest()

    def publish(self, project: str, whole: str, digest: str) -> None:
        """Give the assembled whole its name. Raises FileNotFoundError when it is gone."""
        target = self._blob(project, digest)
        self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        if self._local:
            os.replace(whole, target)
        else:
            self._fs.mv(whole, target)

    def drop(self, project: str, upload: str) -> None:
        """Take the chunks away."""
        folder = self._folder(project, upload)
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(folder, recursive=True)

    def open(self, project: str, digest: str, offset: int) -> IO[bytes]:
        """For reading from ``offset`` on. Raises FileNotFoundError."""
        file: IO[bytes] = self._fs.open(self._blob(project, digest), "rb")
        file.seek(offset)
        return file

    def _settle(self, file: Any) -> None:
        """Onto the disk, so that an answer that says "stored" outlives a power cut."""
        if self._local:
            file.flush()
            os.fsync(file.fileno())

    def _blob(self, project: str, digest: str) -> str:
        return f"{self._root}/{project}/blobs/{digest[:2]}/{digest}"

    def _folder(self, project: str, upload: str) -> str:
        return f"{self._root}/{project}/uploads/{upload}"

    def _chunk(self, project: str, upload: str, offset: int, length: int) -> str:
        return f"{self._folder(project, upload)}/{offset}-{length}"


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_COPY_BYTES):
        yield piece
