"""What a gateway needs to know, kept in HOME/gateway.json (mode 0600: it holds the gateway's secret)."""

from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.errors import RADIO, BadConfiguration

UsbId = Annotated[str, Field(pattern="^[0-9a-fA-F]{4}$")]
"""Four hexadecimal digits, as `lsusb` and udev write them."""


class UsbSettings(BaseModel):
    """A serial port, known by what the device says about itself, wherever it is plugged in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vid: UsbId
    pid: UsbId
    serial: str | None = None
    """Needed as soon as two devices of one kind are here."""

    def __str__(self) -> str:
        return f"USB {self.vid}:{self.pid}" + (f" {self.serial}" if self.serial else "")


class BleSettings(BaseModel):
    """A device in the air: the name or the address that it advertises."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = None
    """Its device id."""
    address: str | None = None
    """As this machine's Bluetooth shows it; macOS makes up an id of its own."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.name is None) == (self.address is None):
            raise ValueError("give either name or address")
        return self

    def __str__(self) -> str:
        return f"{RADIO} {self.name or self.address}"


class DeviceSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    control: str | None = None
    """Serial port, or a symlink to one."""
    usb: UsbSettings | None = None
    ble: BleSettings | None = None
    bulk: str
    """HOST:PORT of the device's bulk link."""
    device_id: str | None = None
    """The device that belongs here. Another one that answers at this port, as after re-plugging, is left alone."""

    @model_validator(mode="after")
    def _one_control_link(self) -> Self:
        if sum(link is not None for link in (self.control, self.usb, self.ble)) != 1:
            raise ValueError("give one of control, usb and ble")
        return self

    @property
    def where(self) -> str:
        """Where the device is, for people."""
        return self.control or str(self.usb or self.ble)


class LabelPrinterSettings(BaseModel):
    """Where labels come out when a device has no coder of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zpl: Annotated[str, Field(pattern=r"^.+:[0-9]{1,5}$")] | None = None
    """HOST:PORT of a printer that speaks ZPL II, as a rule port 9100."""
    lp: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@-]*$")] | None = None
    """A CUPS queue."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.zpl is None) == (self.lp is None):
            raise ValueError("give either zpl or lp")
        return self


class GatewaySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    gateway_id: str
    server_url: str
    secret: str
    ca_file: str | None = None
    mqtt_url: Annotated[str, Field(pattern=r"^mqtts?://[^/@]+$")]
    """mqtts://HOST:PORT, or mqtt://HOST:PORT for a broker on this machine."""
    mqtt_username: str | None = None
    mqtt_password: str | None = None
    """With user and password the certificate is not used."""
    certificate_file: str = "tls/gateway.pem"
    """Certificate and key that let this gateway in at an mqtts broker; `cinnabar-gateway enrol` makes them, and they
    renew themselves. A relative name, also that of `ca_file`, starts at HOME."""
    listen: str = "127.0.0.1:0"
    devices: tuple[DeviceSettings, ...] = ()
    demo: bool = False
    """Every page says that nothing here has legal force."""
    auto: bool = True
    """Photograph by itself as soon as a page lies still."""
    label_printer: LabelPrinterSettings | None = None

    @property
    def broker_address(self) -> tuple[str, int]:
        parts = urlsplit(self.mqtt_url)
        return parts.hostname or "", parts.port or (8883 if self.broker_tls else 1883)

    @property
    def broker_tls(self) -> bool:
        return urlsplit(self.mqtt_url).scheme == "mqtts"

    @property
    def uses_certificate(self) -> bool:
        """Whether the broker knows this gateway by its certificate."""
        return self.broker_tls and self.mqtt_password is None


_FILES: Final = ("ca_file", "certificate_file")


def load(home: Path) -> GatewaySettings:
    """Raises: BadConfiguration."""
    path = home / "gateway.json"
    try:
        read = GatewaySettings.model_validate_json(path.read_bytes())
        files = {name: str(home / value) for name in _FILES if (value := getattr(read, name)) is not None}
        return read.model_copy(update=files)
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read: {error.strerror}. Enrol this gateway first.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadConfiguration(f"{path}: {field}: {first['msg']}. Correct it and start again.") from error
