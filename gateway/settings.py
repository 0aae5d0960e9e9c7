"""What a gateway needs to know, kept in HOME/gateway.json (mode 0600: it holds the gateway's secret)."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.errors import BadConfiguration


class DeviceSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    control: str
    """Serial port, or a symlink to one."""
    bulk: str
    """HOST:PORT of the device's bulk link."""
    device_id: str | None = None
    """The device that belongs here. Another one that answers at this port, as after re-plugging, is left alone."""


class GatewaySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    gateway_id: str
    server_url: str
    secret: str
    ca_file: str | None = None
    mqtt_host: str
    mqtt_port: int
    mqtt_username: str | None = None
    mqtt_password: str | None = None
    listen: str = "127.0.0.1:0"
    devices: tuple[DeviceSettings, ...] = ()
    demo: bool = False
    """Every page says that nothing here has legal force."""
    auto: bool = True
    """Photograph by itself as soon as a page lies still."""


def load(home: Path) -> GatewaySettings:
    """Raises: BadConfiguration."""
    path = home / "gateway.json"
    try:
        return GatewaySettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read: {error.strerror}. Enrol this gateway first.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadConfiguration(f"{path}: {field}: {first['msg']}. Correct it and start again.") from error
