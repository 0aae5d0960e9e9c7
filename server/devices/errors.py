from typing import Final

from server.core.errors import BadInput, Conflict, Forbidden, NotFound, Unauthenticated
from server.core.i18n import N_


class UnknownGateway(Unauthenticated):
    title = N_("Unknown gateway")
    happened = N_("The gateway's secret is missing or not right.")
    next_step = N_("Enrol the gateway again and write the new secret into gateway.json.")
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012 - a ClassVar of the base


class WrongGateway(Forbidden):
    happened = N_("The gateway names itself differently from the secret it uses.")
    next_step = N_("Check gateway_id in gateway.json.")


class NoSuchGateway(NotFound):
    pass


class NoSuchDevice(NotFound):
    """The device is unknown, or belongs to another gateway or branch."""


class NoSuchPairing(NotFound):
    pass


class GatewayTaken(Conflict):
    happened = N_("A gateway with this name is enrolled already.")
    next_step = N_("Choose another name.")


class NameReserved(Conflict):
    """Fact: the broker would take such a gateway for a role of the server."""

    happened = N_("Names that begin with cinnabar- belong to the server itself.")
    next_step = N_("Choose another name.")


class BadCertificateRequest(BadInput):
    """Fact `why`."""

    title = N_("This is not a certificate request")
    happened = N_("The gateway's request for its certificate cannot be read (%(why)s).")
    safe = N_("The certificate in use stays good until its date.")
    next_step = N_("Run cinnabar-gateway enrol again.")


class KeyIdTaken(Conflict):
    """The first 4 bytes of the key's hash are in use; a copied key looks like this too."""

    title = N_("This device key is known already")
    happened = N_("Another device, or this one, is enrolled with the same key number.")
    safe = N_("The device was not enrolled and stays locked.")
    next_step = N_("Let the device make a new key and pair it again. If you did not expect this, call your security.")


class PairingOver(Conflict):
    title = N_("The pairing time is over")
    happened = N_("A pairing lasts 180 seconds and each step happens once.")
    safe = N_("The device was not enrolled and stays locked.")
    next_step = N_("Press the pairing button on the device and start again.")


class DeviceNotActive(Conflict):
    """Fact `state`."""

    title = N_("This device is not in use")
    happened = N_("The device is suspended or not yet enrolled.")
    safe = N_("It stays locked; nothing was stamped.")
    next_step = N_("Use another device, or ask an administrator.")


class NotSignedInAtDevice(Unauthenticated):
    title = N_("Please identify yourself at the device")
    happened = N_("Nobody with this name is signed in at this device, or the time is over.")
    safe = N_("The device stays locked.")
    next_step = N_("Type your name and PIN at the device.")


class WrongPasskey(Unauthenticated):
    title = N_("This passkey does not count here")
    happened = N_("The passkey was removed, its owner is not a keeper here, or the sign-in is not a new one.")
    safe = N_("The device stays locked.")
    next_step = N_("Sign in with your name and PIN, or ask your administrator.")


CARRY_HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""A phone on the gateway's page may read this answer: it carries no cookie, and what counts has a MAC."""


class CarryRefused(Unauthenticated):
    title = N_("This did not come from a gateway of ours")
    happened = N_("What the phone carried is not an envelope that a gateway closed.")
    next_step = N_("Open the keeper's page of your gateway again.")
    headers = CARRY_HEADERS


class CarryStale(Conflict):
    """Fact `now_ms`: our time, Unix ms."""

    title = N_("What the phone carried is too old")
    happened = N_("It was closed more than five minutes ago, or the gateway's clock is wrong.")
    next_step = N_("Try again, and check the gateway's clock.")
    headers = CARRY_HEADERS


class CarryReplayed(Conflict):
    title = N_("This was carried before")
    happened = N_("Each envelope counts once, and this one came a second time.")
    next_step = N_("The gateway closes a new one by itself.")
    headers = CARRY_HEADERS


class CarryForbidden(Forbidden):
    happened = N_("A phone may not carry this kind of request.")
    next_step = N_("Connect the gateway to the network.")
    headers = CARRY_HEADERS


class ServiceUnderWay(Conflict):
    title = N_("A service is under way at this device")
    happened = N_("Another service was proposed or ordered and is not finished.")
    safe = N_("Nothing was changed.")
    next_step = N_("Finish or withdraw it first.")


class NoSuchService(NotFound):
    pass


class ServiceOver(Conflict):
    """Fact `state`."""

    title = N_("Nothing to confirm any more")
    happened = N_("This service was confirmed, withdrawn or finished, or its time is over.")
    safe = N_("Nothing was changed.")
    next_step = N_("Look at the device's page and propose it again if it is still needed.")


class SamePerson(Forbidden):
    title = N_("Another administrator must confirm")
    happened = N_("You proposed this service, so somebody else decides about it.")
    safe = N_("Nothing was ordered; the device stays as it is.")
    next_step = N_("Ask a second administrator to confirm on this page.")


class HeadNotRegistered(Conflict):
    title = N_("This seal head is not registered")
    happened = N_("Only a head that belongs to a registered seal may be put into a device.")
    safe = N_("Nothing was ordered.")
    next_step = N_("Register the head on its seal's page first, or check the number.")


class EmptySlot(Conflict):
    happened = N_("There is no seal head in this slot.")
    safe = N_("Nothing was ordered.")
    next_step = N_("Choose the slot that holds the head.")


class SampleMissing(Conflict):
    title = N_("The sample imprint is missing")
    happened = N_("The seal head was changed and its sample imprint does not agree with the specimen yet.")
    safe = N_("The device stays locked; nothing was stamped.")
    next_step = N_("Ask an administrator to look at the device's page.")


class NotReleased(Conflict):
    title = N_("This device is paired already")
    happened = N_("A paired device is paired again only after two administrators released it.")
    safe = N_("The device was not enrolled anew and stays locked.")
    next_step = N_("Release it on the device's page. If you did not expect this, call your security.")


class WrongDates(BadInput):
    title = N_("These dates cannot be")
    happened = N_("A deputy's time ends after it begins, not in the past, and lasts 92 days at most.")
    safe = N_("Nothing was changed.")
    next_step = N_("Check both dates.")


class NotADeputy(Conflict):
    title = N_("This person cannot be the deputy")
    happened = N_("Nobody is their own deputy, and a deputy stands in for a keeper of this branch.")
    safe = N_("Nothing was changed.")
    next_step = N_("Choose another person.")


class OnlyForOneself(Forbidden):
    happened = N_("A keeper names a deputy for themselves; an administrator may do it for others.")
    safe = N_("Nothing was changed.")
    next_step = N_("Ask an administrator.")


class NoSuchDeputy(NotFound):
    """Unknown, over, or called back before."""


class BadEvent(BadInput):
    """Fact `why`: a code of `firmware_protocol.errors`."""

    title = N_("This report cannot be trusted")
    happened = N_("A report that should come from the device does not carry its signature, or was changed (%(why)s).")
    safe = N_("It was not accepted. The device stays locked.")
    next_step = N_("Try again. If it happens again, call your security: someone may be changing reports.")


class WrongStateStep(BadInput):
    happened = N_("A device can be set to active or suspended.")
