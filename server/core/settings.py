"""One settings object for every role: environment variables CINNABAR_*, then `home/settings.env` (`Settings.load`)."""

import os
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class WitnessSetting(BaseModel):
    """A witness of the log that is asked for cosignatures (docs/operations.md, "Witnesses")."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vkey: str
    """`name+id+key`, as the witness's operator handed it out."""
    url: str = Field(pattern="^https?://")
    """What `/add-checkpoint` is appended to."""
    own: bool = False
    """Run by ourselves or on our machines: it is shown, and counts for nothing."""


class TimeAuthoritySetting(BaseModel):
    """A time-stamp authority (RFC 3161) that stamps checkpoints, beside our own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern="^[A-Za-z0-9._-]{1,40}$")
    """Names the files in evidence bundles."""
    url: str = Field(pattern="^https?://")
    certificates: Path
    """PEM: the authority's root, and whatever stands between."""
    own: bool = False
    """Run by ourselves: it is shown as such."""


class Settings(BaseSettings):
    """What an operator may choose. Everything has a default that works on one machine without root."""

    model_config = SettingsConfigDict(env_prefix="CINNABAR_", extra="ignore", frozen=True)

    home: Path = Field(default_factory=lambda: Path.home() / ".cinnabar")
    """Everything this installation keeps: keys, database, files, secrets. Mode 0700."""
    installation: str = "Cinnabar"
    """Name of the company or office as people read it; part of the trust bundle and of the log's name."""
    country: str = Field(default="XX", pattern="[A-Z]{2}")
    """ISO 3166 code in the certificates of electronic seals; XX: not stated."""
    host: str = "localhost"
    """Host name that people type and that QR codes carry; in the TLS certificate."""
    database_url: str = ""
    """SQLAlchemy URL: `sqlite:///FILE` (default: in home) or `postgresql+psycopg://...`."""
    public_url: str = ""
    """https://HOST:PORT of the public verify pages, as printed in trace codes; default from host and public_port."""
    bind: str = "127.0.0.1"
    """Address the web and public roles listen on."""
    web_port: int = Field(default=8443, ge=0, le=65535)
    public_port: int = Field(default=8444, ge=0, le=65535)
    mqtt_url: str = ""
    """mqtt://HOST:PORT or mqtts://HOST:PORT; empty: the embedded broker on loopback (see `mqtt_port`). With mqtts
    and no user in it each role logs in with its own certificate."""
    mqtt_port: int = Field(default=18883, ge=0, le=65535)
    """Loopback port of the embedded broker."""
    blob_url: str = ""
    """file:///FOLDER or s3://BUCKET/PREFIX; default: in home."""
    language: Literal["en", "es", "zh"] = "en"
    """Language when neither cookie nor browser names one."""
    demo: bool = False
    """Demo mode: every page says so, and keys are marked so that production never trusts them."""
    key_passphrase: SecretStr | None = None
    """Passphrase of the key files; else it is read from `key_passphrase_file`."""
    key_passphrase_file: Path | None = None
    """A file of mode 0600; default home/secrets/passphrase."""
    witnesses: tuple[WitnessSetting, ...] = ()
    """JSON list of {"vkey", "url", "own"}: who is asked to cosign each checkpoint."""
    witness_quorum: int = Field(default=0, ge=0)
    """How many witnesses that are not our own a checkpoint needs before it is published without a mark."""
    time_authorities: tuple[TimeAuthoritySetting, ...] = ()
    """JSON list of {"name", "url", "certificates", "own"}: who stamps checkpoints beside our own authority."""
    anchor_minutes: int = Field(default=10, ge=0)
    """How often the newest checkpoint gets time stamps, when the log has grown; 0: never."""
    log_format: Literal["pretty", "json"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    max_upload_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """Longest request body the server reads."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: dict[str, object]) -> dict[str, object]:
        """Derive the addresses that were left open from home, host and ports."""
        home = Path(str(data.get("home") or Path.home() / ".cinnabar")).expanduser().absolute()
        filled = dict(data) | {"home": home}
        if not filled.get("database_url"):
            filled["database_url"] = f"sqlite:///{home / 'data.db'}"
        if not filled.get("blob_url"):
            filled["blob_url"] = (home / "blobs").as_uri()
        if not filled.get("key_passphrase_file"):
            filled["key_passphrase_file"] = home / "secrets" / "passphrase"
        if not filled.get("public_url"):
            port = filled.get("public_port", cls.model_fields["public_port"].default)
            filled["public_url"] = f"https://{filled.get('host', 'localhost')}:{port}"
        return filled

    @model_validator(mode="after")
    def _addresses_are_addresses(self) -> Self:
        if urlsplit(self.public_url).scheme != "https":
            raise ValueError("public_url must start with https://")
        if urlsplit(self.public_url).path.strip("/"):
            raise ValueError("public_url is a host and a port: a printed code has no room for a path")
        if self.database_url.startswith("sqlite") and not urlsplit(self.database_url).path.strip("/"):
            raise ValueError("an in-memory database is not durable; give a file")
        outside = sum(not witness.own for witness in self.witnesses)
        if self.witness_quorum > outside:
            raise ValueError(f"witness_quorum is {self.witness_quorum}; only {outside} witnesses are not your own")
        names = ["own", *(authority.name for authority in self.time_authorities)]
        if len(set(names)) != len(names):
            raise ValueError('time_authorities have different names, and none is "own", which is our own')
        return self

    @classmethod
    def load(cls, home: Path | None = None) -> Self:
        """The settings of one home: environment first, then home/settings.env, then defaults.

        Raises: pydantic.ValidationError.
        """
        chosen = home or Path(os.environ.get("CINNABAR_HOME") or Path.home() / ".cinnabar")
        folder = chosen.expanduser().absolute()
        return cls(home=folder, _env_file=folder / "settings.env")  # type: ignore[call-arg]

    @property
    def web_url(self) -> str:
        """https://HOST:PORT of the dashboard and the API."""
        return f"https://{self.host}:{self.web_port}"

    @property
    def broker_address(self) -> tuple[str, int]:
        """Host and port of the MQTT broker, embedded or configured."""
        if not self.mqtt_url:
            return "127.0.0.1", self.mqtt_port
        parts = urlsplit(self.mqtt_url)
        return parts.hostname or "127.0.0.1", parts.port or (8883 if parts.scheme == "mqtts" else 1883)

    @property
    def gateway_mqtt_url(self) -> str:
        """The broker as gateways reach it: no user or password, and never this machine's own loopback name."""
        if not self.mqtt_url:
            return f"mqtt://127.0.0.1:{self.mqtt_port}"
        host, port = self.broker_address
        reached = self.host if host in {"localhost", "127.0.0.1", "::1"} else host
        return f"{urlsplit(self.mqtt_url).scheme}://{reached}:{port}"
