"""Pairing a device: the gateway carries the messages; persons compare six digits here and at headquarters."""

import asyncio
from typing import Final

from firmware_protocol import events, messages
from firmware_protocol.orders import Terms
from firmware_protocol.pairing import WINDOW_S
from gateway.device import DeviceAgent
from gateway.errors import OutOfOrder
from gateway.uplink.head_office import HeadOffice

POLL_S: Final = 0.2


async def pair(device: DeviceAgent, head_office: HeadOffice) -> str:
    """The pairing's last state: "enrolled", "refused" or "expired".

    Raises: GatewayError; OutOfOrder when nobody confirmed within the window.
    """
    hello = await device.connection.ask(messages.HelloRequest(), messages.Hello)
    opened = await head_office.pairing(hello.device_id)
    pairing_id = str(opened["pairing_id"])
    commit = messages.PairCommitRequest(commitment=bytes.fromhex(opened["commitment"]))
    answer = await device.connection.ask(commit, messages.PairDevice)
    facts = {
        "device_id": answer.device_id,
        "public_key": answer.public_key.hex(),
        "nonce": answer.nonce.hex(),
        "generation": hello.generation,
    }
    terms = (await head_office.pairing_device(pairing_id, facts))["terms"]
    request = messages.PairTermsRequest(
        terms=Terms(
            installation_id=bytes.fromhex(terms["installation_id"]),
            issuer_keys=tuple(bytes.fromhex(key) for key in terms["issuer_keys"]),
            recovery_key=bytes.fromhex(terms["recovery_key"]),
            root_key=bytes.fromhex(terms["root_key"]),
            server_nonce=bytes.fromhex(terms["server_nonce"]),
            trace_host=terms["trace_host"],
        )
    )
    await device.connection.ask(request, messages.Accepted)
    try:
        async with asyncio.timeout(WINDOW_S):
            return await _until_confirmed(device, head_office, pairing_id)
    except TimeoutError as error:
        raise OutOfOrder(
            "Nobody confirmed the six digits in time. Press the pairing button and start again."
        ) from error


async def _until_confirmed(device: DeviceAgent, head_office: HeadOffice, pairing_id: str) -> str:
    # ASYNC110: both loops poll something at the other end of a wire; there is no event to wait on.
    while not (await device.connection.ask(messages.PairStatusRequest(), messages.PairStatus)).confirmed:  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)
    hello = await device.connection.ask(messages.HelloRequest(), messages.Hello)
    device.connection.hello = hello
    for seq in range(1, hello.last_seq + 1):
        signed = (await device.connection.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent)).event
        if isinstance(events.peek(signed).body, events.Paired):
            await head_office.pairing_event(pairing_id, signed)
    while (state := await head_office.pairing_state(pairing_id)) in ("waiting", "confirmed"):  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)
    if state == "enrolled":
        await device.greet()
    return state
