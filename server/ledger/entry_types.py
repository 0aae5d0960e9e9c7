"""The numbered registry of business entries: what each type means and which fields it carries.

A number is frozen from its first use and never reused. Types only gain fields; a change of meaning is a new version.
docs/entries.md shows this table to people; a test keeps the two, and every call of `record`, in step.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class EntryType(IntEnum):
    INSTALLATION = 1
    KEY_ROTATED = 2
    BACKUP_RESTORED = 3
    PERSON_ADDED = 10
    PERSON_REMOVED = 11
    ROLE_SET = 12
    CREDENTIAL_ENROLLED = 13
    CREDENTIAL_REVOKED = 14
    BRANCH_SET = 15
    DEPUTY_SET = 16
    APPROVAL_RULE_SET = 20
    SEAL_REGISTERED = 30
    HEAD_REGISTERED = 31
    SEAL_STATE = 32
    GATEWAY_ENROLLED = 40
    GATEWAY_REVOKED = 41
    DEVICE_ENROLLED = 42
    DEVICE_STATE = 43
    DEVICE_RESET_ORDERED = 44
    FIRMWARE_APPROVED = 45
    SERVICE_PROPOSED = 46
    SERVICE_ORDERED = 47
    SAMPLE_CHECKED = 48
    DEVICE_RULES_SET = 49
    REQUEST_SUBMITTED = 50
    DECISION = 51
    REQUEST_VOIDED = 52
    REQUEST_WITHDRAWN = 53
    TOKEN_ISSUED = 60
    PERMIT_ISSUED = 61
    VOUCHER_ISSUED = 62
    LOST_ORDER = 63
    KEEPER_NOTE = 64
    PAGE_FINDING = 70
    IMPRINT_FINDING = 71
    VERDICT = 72
    ESEAL_ISSUED = 80
    CODE_ISSUED = 81
    CODE_WITHDRAWN = 82
    RECORD_FILED = 90
    RECORD_ERASED = 91
    BUNDLE_ISSUED = 92
    EVENTS_SET_ASIDE = 100
    EQUIVOCATION = 101


@dataclass(frozen=True, slots=True)
class EntrySpec:
    """One type: its kinds of references, the fields that stand in the leaf, and those there only as commitments."""

    meaning: str
    refs: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    version: int = 1


_REQUEST: Final = ("request", "seal", "head", "document")
_STROKE: Final = ("request", "device", "token", "seal", "document", "finding", "photo")

SPECS: Final[dict[EntryType, EntrySpec]] = {
    EntryType.INSTALLATION: EntrySpec(
        "The installation began: its identity and its public keys.",
        ("installation",),
        ("installation_id", "origin", "host", "demo", "keys", "root_key", "trust_digest"),
        ("name",),
    ),
    EntryType.KEY_ROTATED: EntrySpec(
        "A server key was replaced under the offline root.",
        ("installation",),
        ("purpose", "old_key", "new_key", "trust_digest"),
    ),
    EntryType.BACKUP_RESTORED: EntrySpec(
        "The server was restored from a backup.", ("installation",), ("size", "root", "backup_ms"), ("by",)
    ),
    EntryType.PERSON_ADDED: EntrySpec(
        "A person got an account.",
        ("person",),
        ("branch", "operator", "tenant"),
        ("name", "username", "email", "by"),
    ),
    EntryType.PERSON_REMOVED: EntrySpec("A person's account ended.", ("person",), (), ("reason", "by")),
    EntryType.ROLE_SET: EntrySpec(
        "A person's roles in a branch from now on; an empty list takes them away.",
        ("person",),
        ("branch", "roles", "role", "granted"),
        ("by",),
    ),
    EntryType.CREDENTIAL_ENROLLED: EntrySpec(
        "A person's credential counts from now on.",
        ("person", "credential"),
        ("method", "public_key", "attested_by", "countersigned"),
        ("by",),
    ),
    EntryType.CREDENTIAL_REVOKED: EntrySpec(
        "A person's credential counts no more.", ("person", "credential"), ("method",), ("reason", "by")
    ),
    EntryType.BRANCH_SET: EntrySpec("A branch was made or moved.", ("branch",), ("path",), ("name", "by")),
    EntryType.DEPUTY_SET: EntrySpec(
        "A person may, or may no more, operate a device or the devices of a seal for some days.",
        ("person", "deputy", "device", "seal"),
        ("granted", "from_ms", "until_ms"),
        ("stands_for", "by"),
    ),
    EntryType.APPROVAL_RULE_SET: EntrySpec(
        "Who must approve uses of a seal from now on.",
        ("seal", "rule"),
        ("policy_version", "stages", "rule_digest", "requester_may_keep", "page_check"),
        ("name", "rule", "by"),
    ),
    EntryType.SEAL_REGISTERED: EntrySpec(
        "A seal is under control from now on.",
        ("seal", "device"),
        ("form", "artwork_digest", "since_ms", "branch", "tenant"),
        ("name", "custodian", "by"),
    ),
    EntryType.HEAD_REGISTERED: EntrySpec(
        "An engraved piece belongs to a seal.",
        ("seal", "head", "device"),
        ("head_id", "slot", "diameter_mm", "specimen_digest", "artwork_digest"),
        ("by",),
    ),
    EntryType.SEAL_STATE: EntrySpec(
        "A seal is active, suspended, disputed or destroyed.", ("seal",), ("state", "since_ms"), ("reason", "by")
    ),
    EntryType.GATEWAY_ENROLLED: EntrySpec("A gateway may connect.", ("gateway",), ("branch",), ("name", "by")),
    EntryType.GATEWAY_REVOKED: EntrySpec("A gateway may connect no more.", ("gateway",), (), ("reason", "by")),
    EntryType.DEVICE_ENROLLED: EntrySpec(
        "A device's key counts from now on.",
        ("device", "gateway", "pairing"),
        ("public_key", "generation", "model", "firmware", "transcript_digest", "counter", "branch", "tenant"),
        ("name", "by"),
    ),
    EntryType.DEVICE_STATE: EntrySpec(
        "A device is active, suspended, quarantined or revoked.",
        ("device",),
        ("state", "generation", "policy_epoch"),
        ("reason", "by"),
    ),
    EntryType.DEVICE_RESET_ORDERED: EntrySpec(
        "Two administrators ordered a device to forget its pairing.", ("device",), ("order_digest",), ("by", "second")
    ),
    EntryType.FIRMWARE_APPROVED: EntrySpec(
        "A firmware image may run on devices.", ("firmware",), ("version", "image_digest", "manifest_seq"), ("by",)
    ),
    EntryType.SERVICE_PROPOSED: EntrySpec(
        "An administrator asks for a service at a device; nothing happens until another one agrees.",
        ("device", "service", "head"),
        ("kind", "slot"),
        ("reason", "by"),
    ),
    EntryType.SERVICE_ORDERED: EntrySpec(
        "Two administrators ordered a service at a device.",
        ("device", "service", "head"),
        ("kind", "slot", "order_digest", "policy_epoch", "operators"),
        ("by", "second"),
    ),
    EntryType.SAMPLE_CHECKED: EntrySpec(
        "The sample imprint after a change of heads was compared with the registered specimen.",
        ("device", "service", "head", "seal", "photo"),
        ("slot", "answer", "reason", "order_digest", "photo_digest", "report_digest"),
        ("report",),
    ),
    EntryType.DEVICE_RULES_SET: EntrySpec(
        "What a device may do without headquarters, and whether it must leaf through each document, from now on.",
        ("device",),
        ("max_offline_strokes", "sweep_required", "policy_epoch"),
        ("by",),
    ),
    EntryType.REQUEST_SUBMITTED: EntrySpec(
        "Somebody asks for imprints on a document.",
        _REQUEST,
        (
            "request_digest",
            "policy_version",
            "branch",
            "pages",
            "copies",
            "strokes",
            "spares",
            "mode",
            "form",
            "page_check",
        ),
        ("canonical", "title", "reason", "requester", "keeper", "counterparty", "amount", "short_name"),
    ),
    EntryType.DECISION: EntrySpec(
        "An approver decided on exactly this request digest.",
        (*_REQUEST, "decision", "credential"),
        ("request_digest", "stage", "approved", "outcome", "complete", "method", "assertion_digest", "nonce"),
        ("approver", "reason", "assertion"),
    ),
    EntryType.REQUEST_VOIDED: EntrySpec(
        "A change took away every decision made before it.", _REQUEST, ("old_digest", "new_digest"), ("reason", "by")
    ),
    EntryType.REQUEST_WITHDRAWN: EntrySpec(
        "The requester took the request back.", _REQUEST, ("request_digest",), ("reason", "by")
    ),
    EntryType.TOKEN_ISSUED: EntrySpec(
        "A device was allowed strokes; the token itself is a leaf of its own. `plan` is [copy, page] of each stroke.",
        ("request", "device", "token", "seal", "head", "document"),
        ("token_digest", "strokes", "window_s", "expires_ms", "operator", "nonce", "request_digest", "plan"),
        ("keeper", "by"),
    ),
    EntryType.PERMIT_ISSUED: EntrySpec(
        "One stroke on one page seen in one photo was permitted; the permit itself is a leaf of its own.",
        _STROKE,
        ("permit_digest", "stroke", "page", "photo_digest", "stroke_nonce"),
        ("by",),
    ),
    EntryType.VOUCHER_ISSUED: EntrySpec(
        "Strokes for use without headquarters were allowed.",
        ("request", "device", "token", "seal"),
        ("token_digest", "strokes", "counter", "expires_ms"),
        ("by",),
    ),
    EntryType.LOST_ORDER: EntrySpec(
        "Two people closed a gap that a device cannot fill any more.",
        ("device",),
        ("generation", "from_seq", "to_seq", "order_digest"),
        ("reason", "by", "second"),
    ),
    EntryType.KEEPER_NOTE: EntrySpec(
        "A keeper wrote what happened at a device; `seq` is the event it is about. It closes nothing.",
        ("request", "device", "token", "seal", "note"),
        ("kind", "stroke", "seq", "at_ms"),
        ("text", "by"),
    ),
    EntryType.PAGE_FINDING: EntrySpec(
        "What inspection saw on a before-photo.",
        _STROKE,
        ("stroke", "page", "answer", "reason", "photo_digest", "preview_digest", "report_digest", "event"),
        ("report", "differences"),
    ),
    EntryType.IMPRINT_FINDING: EntrySpec(
        "What inspection saw on an after-photo.",
        (*_STROKE, "code"),
        ("stroke", "page", "answer", "imprint", "code_read", "reason", "photo_digest", "report_digest", "event"),
        ("report", "differences"),
    ),
    EntryType.VERDICT: EntrySpec(
        "What a person decided about a finding or an unclear stroke.",
        (*_STROKE, "case", "code"),
        ("stroke", "verdict", "finding_kind", "method", "photo_digest"),
        ("reason", "by", "assertion"),
    ),
    EntryType.ESEAL_ISSUED: EntrySpec(
        "An electronic seal was put on a document.",
        ("request", "seal", "document", "sealed", "code"),
        ("document_digest", "sealed_digest", "level", "certificate_digest", "trace_code", "time_ms"),
        ("title", "by"),
    ),
    EntryType.CODE_ISSUED: EntrySpec(
        "A trace code of an electronic seal, or a typed short code, exists from now on.",
        ("request", "seal", "document", "code", "token"),
        ("trace_code", "short_digest"),
    ),
    EntryType.CODE_WITHDRAWN: EntrySpec(
        "A trace code must not be relied on any more.",
        ("code", "request", "seal", "token"),
        ("since_ms",),
        ("reason", "by"),
    ),
    EntryType.RECORD_FILED: EntrySpec(
        "A stamping is complete and kept as a record.",
        ("request", "seal", "document", "record"),
        ("record_digest", "class", "keep_until_ms", "strokes"),
        ("title", "by"),
    ),
    EntryType.RECORD_ERASED: EntrySpec(
        "Contents of a record were erased; its proofs stay.", ("record", "request"), ("labels", "basis"), ("by",)
    ),
    EntryType.BUNDLE_ISSUED: EntrySpec(
        "An evidence bundle was handed out.", ("request", "record"), ("bundle_digest",), ("to", "by")
    ),
    EntryType.EVENTS_SET_ASIDE: EntrySpec(
        "The ledger did not admit what arrived; `digest` is SHA-256 over the sorted SHA-256 of each.",
        ("device",),
        ("count", "digest", "reasons"),
    ),
    EntryType.EQUIVOCATION: EntrySpec(
        "A device signed two events with one number; both leaf hashes are named.",
        ("device",),
        ("generation", "seq", "stored", "other"),
    ),
}
