"""One error tree for the core of the device. A "no" to the gateway is a value (checks.No), not an error."""


class DeviceError(Exception):
    """The device cannot go on as it was."""


class OutOfOrder(DeviceError):
    """The step is not allowed in this state; nothing moved."""

    def __init__(self, *, state: str, step: str) -> None:
        super().__init__(f"{step} is not allowed while {state}")
        self.state = state
        self.step = step


class StorageFailed(DeviceError):
    """The disk did not take a write, or its content cannot be trusted; what was being written may be there in part."""
