"""Device keys in the trust bundle, so that anybody can check a device's signature offline."""

from sqlmodel import Session

from firmware_protocol.purposes import Purpose
from server.core.runtime import Runtime
from server.core.trustfile import TrustFile
from server.devices import store
from server.devices.schemas import DeviceState
from server.verification import trust
from server.verification.trust import DeviceKey, DeviceStatus

PUBLISH_JOB = "devices.publish"

_STATUS = {
    DeviceState.ACTIVE.value: DeviceStatus.ACTIVE,
    DeviceState.SUSPENDED.value: DeviceStatus.SUSPENDED,
    DeviceState.RELEASED.value: DeviceStatus.RETIRED,
}


def publish(run: Runtime) -> None:
    """A new trust bundle that names every enrolled device's keys. Without a change there is none."""
    with run.db.read() as db:
        keys = enrolled_keys(db)

    def change(anchor: bytes, current: bytes) -> bytes:
        before = trust.read_bundle(current)
        if list(before.devices) == keys:
            return current
        issued = int(run.now().timestamp())
        return trust.reissue(anchor, current, key=run.keys.signer(Purpose.BUNDLE), issued=issued, devices=keys)

    TrustFile(run.settings.home).update(change)


def enrolled_keys(db: Session) -> list[DeviceKey]:
    """Every generation of every device that was ever enrolled, in a fixed order.

    An older generation, and that of a released device, is retired: what it signed can still be checked.
    """
    return [
        DeviceKey(
            device_id=key.device_id,
            generation=key.generation,
            public_key=key.public_key,
            status=_STATUS[device.state] if key.generation == device.generation else DeviceStatus.RETIRED,
            since=int(key.created_at.timestamp()),
        )
        for device, key in store.all_keys(db)
        if device.state in _STATUS or key.generation < device.generation
    ]
