"""One error tree of the gateway. Each says what happened in words a keeper understands."""

from typing import Final

RADIO: Final = "Bluetooth"
"""How the name of a place begins that is reached without a cable."""


class GatewayError(Exception):
    """`code` is stable; the text says what happened, whether the work is safe, and what to do next."""

    code = "gateway_error"


class DeviceUnreachable(GatewayError):
    """The port is closed, gone, or does not answer."""

    code = "device_unreachable"

    def __init__(self, where: str) -> None:
        link = "radio link" if where.startswith(RADIO) else "cable"
        super().__init__(f"The device at {where} does not answer. It stays locked. Check its {link} and power.")
        self.where = where


class TwoDevicesFit(GatewayError):
    """The settings name more than one plugged-in device."""

    code = "two_devices_fit"

    def __init__(self, where: str) -> None:
        super().__init__(
            f"Two devices here are {where}. Both stay locked. Name the right one's serial number in gateway.json."
        )
        self.where = where


class AnotherDevice(GatewayError):
    """The port answers, but it is not the device that belongs there."""

    code = "another_device"

    def __init__(self, *, expected: str, found: str) -> None:
        super().__init__(
            f"Device {found} answers where {expected} belongs. It stays locked. "
            "Plug the right device in, or enrol this one."
        )


class DeviceRefused(GatewayError):
    """The device said no; `reason` is a firmware_protocol Reason."""

    code = "device_refused"

    def __init__(self, *, reason: int, name: str, detail: str | None) -> None:
        why = name.lower().replace("_", " ") + (f": {detail}" if detail else "")
        super().__init__(
            f"The device refused ({why}). It did nothing. Try again; if it refuses again, call your administrator."
        )
        self.reason = reason
        self.name = name


class HeadOfficeUnreachable(GatewayError):
    """No answer from headquarters over HTTPS or MQTT."""

    code = "headquarters_unreachable"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"Headquarters does not answer ({what}). Nothing is lost: what was stamped waits here. "
            "Try again in a moment."
        )


class HeadOfficeRefused(GatewayError):
    """Headquarters answered no; the facts are those of its problem document (RFC 9457)."""

    def __init__(self, *, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class NotKnownHere(GatewayError):
    """The device does not know this person by this PIN or badge."""

    code = "not_known_here"

    def __init__(self) -> None:
        super().__init__("The name, the PIN or the badge is not right. Nothing was unlocked. Try again.")


class PasskeyNotKnown(GatewayError):
    """No roster here names it, or what was signed with it does not let its owner in."""

    code = "passkey_not_known"

    def __init__(self) -> None:
        super().__init__("This passkey does not count at this device. Nothing was unlocked. Use your PIN or badge.")


class NoPasskey(GatewayError):
    """Nobody who may operate here has a confirmed passkey for this page."""

    code = "no_passkey"

    def __init__(self) -> None:
        super().__init__(
            "No passkey counts on this page yet. Nothing was unlocked. Sign in with your PIN or badge, then add one."
        )


class OutOfOrder(GatewayError):
    """A step that does not fit where the session stands."""

    code = "out_of_order"


class PhotoBroken(GatewayError):
    """The bytes fetched from the device do not have the digest it signed."""

    code = "photo_broken"

    def __init__(self, digest: bytes) -> None:
        super().__init__(
            f"Photo {digest.hex()[:12]} came broken from the device, which keeps it. It is fetched again by itself."
        )


class PhotoGone(GatewayError):
    """The device does not have this photo: it deletes one only for a receipt that names it."""

    code = "photo_gone"

    def __init__(self, digest: bytes) -> None:
        super().__init__(f"Photo {digest.hex()[:12]} is not on the device any more. Nothing is to be done here.")


class NoRoom(GatewayError):
    """This office's disk takes no more writes."""

    code = "no_room"

    def __init__(self) -> None:
        super().__init__(
            "The gateway's disk is full. Nothing is lost: the device keeps its reports until there is room. "
            "Free some space; the gateway goes on by itself."
        )


class BadConfiguration(GatewayError):
    """gateway.json cannot be used."""

    code = "bad_configuration"
