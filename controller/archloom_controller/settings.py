"""The controller's settings: environment variables with the prefix ARCHLOOM_."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class StartupError(Exception):
    """The process cannot start. The message is one sentence that says what to do."""


class Settings(BaseSettings):
    """Every field is the variable ARCHLOOM_<FIELD>; ``load`` reads them and tells faults in a sentence."""

    model_config = SettingsConfigDict(env_prefix="ARCHLOOM_", extra="ignore", frozen=True)

    #: HOST:PORT of the gRPC server; port 0 takes a free one.
    listen: str = "127.0.0.1:7461"
    mongodb_uri: str = "mongodb://127.0.0.1:27017"
    mongodb_database: str = Field(default="archloom", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,60}$")
    #: Celery's broker. Empty sends no wake-ups: workers then have to ask by themselves.
    broker_url: str = "redis://127.0.0.1:6379/0"
    #: Addresses of strategy plugins, dialled at start, and what RegisterStrategy allows. HOST:* only allows.
    strategies: Annotated[tuple[str, ...], NoDecode] = ()
    #: Folder or fsspec URL ("s3://bucket/prefix") of artifacts.
    artifacts: str = ".archloom/artifacts"
    #: HOST:PORT where Prometheus reads; empty is off.
    metrics_listen: str = ""
    lease_seconds: float = Field(default=30.0, ge=0.5, le=3600)
    stall_seconds: float = Field(default=300.0, ge=1, le=86400)
    #: Longest answer time of a strategy. It never influences what is answered.
    propose_seconds: float = Field(default=60.0, gt=0, le=3600)
    #: Folders that data sets named by path may lie under, separated by colons.
    data_roots: Annotated[tuple[Path, ...], NoDecode] = ()
    replica: str = Field(default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    #: When set, every call brings it as "authorization: Bearer ...".
    token: str = Field(default="", repr=False)
    #: PEM files. Without them the server listens on loopback only.
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @field_validator("strategies", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("data_roots", mode="before")
    @classmethod
    def _split_colons(cls, value: object) -> object:
        return tuple(part for part in value.split(":") if part) if isinstance(value, str) else value

    @field_validator("listen", "metrics_listen")
    @classmethod
    def _check_address(cls, value: str) -> str:
        if value:
            split_address(value)
        return value

    @field_validator("strategies")
    @classmethod
    def _check_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            split_address(address, patterns=True)
        return value

    @model_validator(mode="after")
    def _check_exposure(self) -> Settings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("set ARCHLOOM_TLS_CERTIFICATE and ARCHLOOM_TLS_KEY together")
        host, _ = split_address(self.listen)
        if self.tls_certificate is None and not is_loopback(host):
            raise ValueError(
                f"without TLS the server listens on loopback only, not on {host!r}: listen on 127.0.0.1, or"
                " set ARCHLOOM_TLS_CERTIFICATE and ARCHLOOM_TLS_KEY"
            )
        return self

    @classmethod
    def load(cls) -> Settings:
        """From the environment. Raises StartupError."""
        try:
            return cls()
        except ValidationError as error:
            faults = []
            for fault in error.errors():
                name = "_".join(str(part) for part in fault["loc"]).upper()
                text = fault["msg"].removeprefix("Value error, ")
                faults.append(f"ARCHLOOM_{name}: {text}" if name else text)
            raise StartupError("; ".join(faults)) from None


def split_address(address: str, *, patterns: bool = False) -> tuple[str, int | None]:
    """Host and port of "HOST:PORT" ("[::1]:7461" too). With ``patterns`` the port may be "*": None."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if patterns and port == "*" and host:
        return host, None
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host, int(port)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
