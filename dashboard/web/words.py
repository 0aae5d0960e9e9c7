"""States in words for people: never colour alone, so each has an icon, a tone and a word (docs/glossary.md)."""

from typing import Final, NamedTuple

from firmware_protocol.events import EventType
from server.approvals.policy import Refusal, State
from server.core.i18n import N_, _
from server.core.scope import Role
from server.devices.schemas import DeviceState, ServiceState, ServiceWork
from server.ledger.entry_types import SPECS, EntryType
from server.seals.schemas import SealState


class Word(NamedTuple):
    """`icon` names a symbol in templates/icons.html; `tone`: good, wait, bad, plain."""

    icon: str
    tone: str
    text: str


_REQUESTS: Final = {
    State.DRAFT: Word("pencil", "plain", N_("Draft")),
    State.SUBMITTED: Word("clock", "wait", N_("Waiting for approval")),
    State.APPROVED: Word("check", "good", N_("Approved")),
    State.IN_USE: Word("stamp", "wait", N_("Being stamped")),
    State.DONE: Word("check", "good", N_("Stamped")),
    State.REJECTED: Word("cross", "bad", N_("Rejected")),
    State.WITHDRAWN: Word("back", "plain", N_("Taken back")),
    State.VOID: Word("cross", "bad", N_("Void")),
    State.EXPIRED: Word("clock", "plain", N_("Time is over")),
}
_SEALS: Final = {
    SealState.ACTIVE: Word("check", "good", N_("Active")),
    SealState.SUSPENDED: Word("pause", "wait", N_("Suspended")),
    SealState.DISPUTED: Word("alert", "bad", N_("Disputed")),
    SealState.DESTROYED: Word("cross", "bad", N_("Destroyed")),
}
_DEVICES: Final = {
    DeviceState.CONFIRMED: Word("clock", "wait", N_("Waiting for its first signed report")),
    DeviceState.ACTIVE: Word("check", "good", N_("In use")),
    DeviceState.SUSPENDED: Word("pause", "bad", N_("Suspended")),
    DeviceState.RELEASED: Word("link", "plain", N_("Released: may be paired again")),
}
_SERVICES: Final = {
    ServiceState.PROPOSED: Word("clock", "wait", N_("Waiting for a second administrator")),
    ServiceState.ORDERED: Word("clock", "wait", N_("Ordered, on its way to the device")),
    ServiceState.BEGUN: Word("tool", "wait", N_("The device is being serviced")),
    ServiceState.ENDED: Word("clock", "wait", N_("Done at the device; the sample is compared")),
    ServiceState.DONE: Word("check", "good", N_("Done")),
    ServiceState.REFUSED: Word("cross", "bad", N_("The sample imprint does not agree")),
    ServiceState.TIMED_OUT: Word("clock", "plain", N_("Time is over")),
    ServiceState.WITHDRAWN: Word("back", "plain", N_("Taken back")),
}
_WORKS: Final = {
    ServiceWork.CLEAR_TAMPER: N_("Clear the alarm of the device"),
    ServiceWork.RELEASE: N_("Release the device from its pairing"),
    ServiceWork.CHANGE_HEAD: N_("Change the seal head"),
    ServiceWork.REFILL_INK: N_("Refill the ink"),
}
_TAMPERS: Final = {
    "cover": N_("Its cover was opened."),
    "pry": N_("Somebody tried to break it open."),
    "motion": N_("It was tilted or carried away."),
    "head": N_("Its seal head was changed without an order."),
}
_REFUSALS: Final = {
    Refusal.IS_REQUESTER: N_("You can't approve your own request."),
    Refusal.IS_KEEPER: N_("You are the keeper of this request; who stamps must not decide."),
    Refusal.DECIDED_ALREADY: N_("You have decided. The others decide next."),
    Refusal.NOT_THIS_STAGE: N_("Other people decide at this stage."),
    Refusal.NOTHING_OPEN: N_("There is nothing to decide here any more."),
    Refusal.IS_APPROVER: N_("Who approved must not stamp."),
    Refusal.OTHER_KEEPER: N_("Another keeper was named."),
}
_ROLES: Final = {
    Role.REQUESTER: N_("Requester"),
    Role.KEEPER: N_("Keeper"),
    Role.APPROVER: N_("Approver"),
    Role.AUDITOR: N_("Auditor"),
    Role.ADMINISTRATOR: N_("Administrator"),
}
_ENTRIES: Final[dict[EntryType, str]] = {
    EntryType.INSTALLATION: N_("The installation began"),
    EntryType.KEY_ROTATED: N_("A server key was replaced"),
    EntryType.PERSON_ADDED: N_("A person was added"),
    EntryType.PERSON_REMOVED: N_("A person was removed"),
    EntryType.ROLE_SET: N_("A role was given or taken"),
    EntryType.CREDENTIAL_ENROLLED: N_("A way to sign in was set"),
    EntryType.CREDENTIAL_REVOKED: N_("A way to sign in was ended"),
    EntryType.BRANCH_SET: N_("A branch was made"),
    EntryType.APPROVAL_RULE_SET: N_("An approval rule was set"),
    EntryType.SEAL_REGISTERED: N_("A seal was registered"),
    EntryType.HEAD_REGISTERED: N_("A seal head was registered"),
    EntryType.SEAL_STATE: N_("A seal's state changed"),
    EntryType.GATEWAY_ENROLLED: N_("A gateway was enrolled"),
    EntryType.GATEWAY_REVOKED: N_("A gateway was removed"),
    EntryType.DEVICE_ENROLLED: N_("A device was paired"),
    EntryType.DEVICE_STATE: N_("A device's state changed"),
    EntryType.DEVICE_RESET_ORDERED: N_("Two people released a device"),
    EntryType.SERVICE_PROPOSED: N_("A service was proposed"),
    EntryType.SERVICE_ORDERED: N_("Two people ordered a service"),
    EntryType.SAMPLE_CHECKED: N_("The sample imprint was compared"),
    EntryType.DEVICE_RULES_SET: N_("Rules of a device were set"),
    EntryType.DEPUTY_SET: N_("A deputy was named or called back"),
    EntryType.REQUEST_SUBMITTED: N_("Approval was asked for"),
    EntryType.DECISION: N_("Somebody decided"),
    EntryType.REQUEST_VOIDED: N_("A change voided the decisions"),
    EntryType.REQUEST_WITHDRAWN: N_("The request was taken back"),
    EntryType.TOKEN_ISSUED: N_("The device was allowed to stamp"),
    EntryType.PERMIT_ISSUED: N_("One press was permitted"),
    EntryType.LOST_ORDER: N_("A gap was closed by two people"),
    EntryType.KEEPER_NOTE: N_("A keeper wrote a note"),
    EntryType.PAGE_FINDING: N_("The page was compared"),
    EntryType.IMPRINT_FINDING: N_("The imprint was checked"),
    EntryType.VERDICT: N_("A person judged a finding"),
    EntryType.ESEAL_ISSUED: N_("An electronic seal was made"),
    EntryType.CODE_ISSUED: N_("A trace code was issued"),
    EntryType.CODE_WITHDRAWN: N_("A trace code was withdrawn"),
    EntryType.RECORD_FILED: N_("The record was filed"),
    EntryType.BUNDLE_ISSUED: N_("Evidence was handed out"),
    EntryType.EVENTS_SET_ASIDE: N_("Reports were set aside"),
    EntryType.EQUIVOCATION: N_("A device contradicted itself"),
}
_EVENTS: Final[dict[EventType, str]] = {
    EventType.BOOT: N_("The device started"),
    EventType.PAIRED: N_("The device accepted the pairing"),
    EventType.GRANT: N_("The device took the job"),
    EventType.PAGE_SEEN: N_("The device photographed the page"),
    EventType.INTENT: N_("The device is about to unlock"),
    EventType.DONE: N_("The seal was pressed and photographed"),
    EventType.CANCELLED: N_("A press was cancelled"),
    EventType.SETTLED: N_("An interrupted press was settled"),
    EventType.CLOSED: N_("The job was closed on the device"),
    EventType.REFUSED: N_("The device refused"),
    EventType.TAMPER: N_("The device was opened or moved"),
    EventType.EXTRA_STROKE: N_("A press without permission"),
    EventType.LABEL: N_("A label was stuck on and photographed"),
    EventType.HEAD_CHANGED: N_("The seal head changed"),
    EventType.POLICY_SET: N_("The device took new rules"),
    EventType.TIME_SET: N_("The device's clock was set"),
    EventType.RESET: N_("The device was reset"),
    EventType.SERVICE: N_("A service began or ended"),
    EventType.SENSOR: N_("A sensor of the device reported"),
    EventType.OPERATOR: N_("Somebody identified at the device"),
    EventType.SPOILED: N_("A spoiled sheet was cancelled"),
    EventType.PAGES_SWEPT: N_("The document was leafed through"),
}


def request_word(state: State) -> Word:
    return _said(_REQUESTS[state])


def seal_word(state: SealState) -> Word:
    return _said(_SEALS[state])


def device_word(state: DeviceState) -> Word:
    return _said(_DEVICES[state])


def service_word(state: ServiceState) -> Word:
    return _said(_SERVICES[state])


def work_word(kind: ServiceWork) -> str:
    return _(_WORKS[kind])


def tamper_word(sensor: str) -> str:
    return (
        _(_TAMPERS[sensor]) if sensor in _TAMPERS else _("A sensor raised an alarm (%(sensor)s).") % {"sensor": sensor}
    )


def refusal_word(refusal: Refusal) -> str:
    return _(_REFUSALS[refusal])


def role_word(role: Role) -> str:
    return _(_ROLES[role])


def entry_word(kind: EntryType | EventType | None) -> str:
    """What an entry of the ledger says, in a few words."""
    if kind is None:
        return _("A signed order to a device")
    if isinstance(kind, EntryType):  # both are numbers, so one table for both would mix them up
        return _(_ENTRIES[kind]) if kind in _ENTRIES else SPECS[kind].meaning
    return _(_EVENTS[kind]) if kind in _EVENTS else kind.name.replace("_", " ").lower()


def _said(word: Word) -> Word:
    return word._replace(text=_(word.text))
