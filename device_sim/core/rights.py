"""What a token or a permit may claim, here and now. Its signature held before it is asked what it claims (checks.py).

A token says how pages may follow each other. Without a mode every permit names the same page; BATCH lets them differ;
STRADDLE stamps the fan of all pages after the cover was seen; CONTINUOUS and VOUCHER ask nobody about the page.
"""

from typing import Final

from device_sim.core.checks import Capture, Moment, No, Nonce, first_no, read_signed
from device_sim.core.memory import NO_HEAD, Memory
from firmware_protocol import orders, tokens
from firmware_protocol.orders import FAN, Permit
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import MAX_LIFE_S, Mode, PageCheck, SealClaims, Token

CLOCK_SKEW_S: Final = 60
"""How far a token may begin in the future by the device's clock; only asked when signed time is known."""
VOUCHER_LIFE_S: Final = 86_400
"""Longest life of a voucher."""


def authentic_token(data: bytes, memory: Memory) -> Token | No:
    """The claims, once the signature holds; nothing about here and now."""
    return read_signed(lambda: tokens.verify(data, keys=memory.order_keys(Purpose.TOKEN)), memory)


def check_token(token: Token, *, memory: Memory, device_id: str, nonce: Nonce | None, moment: Moment) -> No | None:
    """Why the claims of an authentic token do not hold here and now; None when they do."""
    if token.device_id != device_id:
        no: No | None = No(reason=Reason.WRONG_DEVICE, detail="made for another device")
    elif Mode.VOUCHER in token.seal.mode:
        no = _check_voucher(token, memory, moment)
    else:
        no = _check_lease(token, nonce, moment)
    no = no or _check_time(token, memory, moment) or _check_place(token, memory) or _check_mode(token.seal, memory)
    return _with_token(no, token.token_id)


def _check_lease(token: Token, nonce: Nonce | None, moment: Moment) -> No | None:
    """A token for the challenge that is out; it lives on the device's own timer."""
    return first_no(
        (nonce is None or token.nonce != nonce.value, Reason.WRONG_NONCE, "not for the challenge that is out"),
        (token.seal.voucher_counter is not None, Reason.WRONG_MODE, "a counter without the voucher bit"),
        (_life_s(token) > MAX_LIFE_S, Reason.MALFORMED, f"lives longer than {MAX_LIFE_S} s"),
        (nonce is None or _age_s(nonce, moment) > (token.exi_s or 0), Reason.EXPIRED, "too long after its challenge"),
    )


def _check_voucher(token: Token, memory: Memory, moment: Moment) -> No | None:
    """A token without a challenge, for the time without a network: few strokes, a rising counter, a known time."""
    seal = token.seal
    counter = seal.voucher_counter
    most = memory.offline_strokes or 0
    return first_no(
        (
            token.nonce is not None or token.exi_s is not None or counter is None,
            Reason.WRONG_MODE,
            "a voucher has a counter and no challenge",
        ),
        (seal.page_check is not PageCheck.NONE, Reason.WRONG_MODE, "nobody can permit a stroke of a voucher"),
        (seal.max_strokes > most, Reason.WRONG_MODE, f"{seal.max_strokes} strokes, {most} are allowed offline"),
        (
            token.expires_at - token.issued_at > VOUCHER_LIFE_S,
            Reason.WRONG_MODE,
            f"a voucher lives at most {VOUCHER_LIFE_S} s",
        ),
        (moment.unix_ms is None, Reason.CLOCK_DOUBT, "no signed time since the device started"),
        (
            counter is not None and memory.voucher_counter is not None and counter <= memory.voucher_counter,
            Reason.VOUCHER_SPENT,
            "this voucher, or a later one, was used",
        ),
    )


def _check_time(token: Token, memory: Memory, moment: Moment) -> No | None:
    return first_no(
        (token.expires_at * 1000 <= max(memory.floor_ms, moment.unix_ms or 0), Reason.EXPIRED, "expired"),
        (
            moment.unix_ms is not None and token.not_before * 1000 > moment.unix_ms + CLOCK_SKEW_S * 1000,
            Reason.NOT_YET_VALID,
            "not valid yet",
        ),
    )


def _check_place(token: Token, memory: Memory) -> No | None:
    """Epoch, use, slot, head, hand."""
    seal = token.seal
    return first_no(
        (seal.epoch < memory.epoch, Reason.OLD_EPOCH, f"epoch {seal.epoch}, this device is at {memory.epoch}"),
        (token.token_id in memory.spent, Reason.REPLAYED, "used before"),
        (seal.slot >= len(memory.heads), Reason.WRONG_HEAD, f"there is no slot {seal.slot}"),
        (_head(memory, seal.slot) != seal.head_id, Reason.WRONG_HEAD, "another head is in that slot"),
        (seal.max_strokes == 0, Reason.MALFORMED, "no stroke in it"),
        (
            memory.asks_who and (seal.operator is None or seal.operator != memory.operator),
            Reason.OPERATOR_NEEDED,
            "it is for nobody, or for somebody who is not signed in",
        ),
    )


def _check_mode(seal: SealClaims, memory: Memory) -> No | None:
    """Modes that go together, and the pages that some of them need."""
    mode, check = seal.mode, seal.page_check
    first, last = seal.first_page, seal.last_page
    ranged = first is not None and last is not None and 1 <= first <= last
    half = (first is None) is not (last is None) or (first is not None and not ranged)
    return first_no(
        (half, Reason.WRONG_PAGE, "the pages are no range"),
        (
            Mode.CONTINUOUS in mode and (check is not PageCheck.NONE or Mode.STRADDLE in mode),
            Reason.WRONG_MODE,
            "continuous strokes are not permitted one by one",
        ),
        (
            Mode.STRADDLE in mode and (check is not PageCheck.BEFORE or not ranged),
            Reason.WRONG_MODE,
            "a straddle needs its pages and a permit",
        ),
        (Mode.SWEEP in mode and not ranged, Reason.WRONG_MODE, "a sweep needs its pages"),
        (
            bool(memory.sweep_required) and Mode.SWEEP not in mode,
            Reason.SWEEP_NEEDED,
            "this device leafs through every document",
        ),
    )


def check_permit(
    data: bytes, *, memory: Memory, device_id: str, capture: Capture | None, page_token: int | None
) -> Permit | No:
    """`page_token`: the tray's now, None when it is empty."""
    permit = read_signed(lambda: orders.verify(Permit, data, keys=memory.order_keys(Purpose.PERMIT)), memory)
    if isinstance(permit, No):
        return permit
    if permit.device_id != device_id:
        return No(reason=Reason.WRONG_DEVICE, detail="made for another device")
    token = memory.open_token()
    if token is None or token.token_id != permit.token_id:
        return No(reason=Reason.NO_GRANT, detail="no grant is open for it", token_id=permit.token_id)
    seal = token.seal
    page_digest = orders.page_digest(seal.document_digest, permit.page)
    no = first_no(
        (permit.stroke != memory.strokes_used + 1, Reason.WRONG_STROKE, f"the next is {memory.strokes_used + 1}"),
        (memory.strokes_used >= seal.max_strokes, Reason.STROKES_USED_UP, "all strokes are used"),
        (
            Mode.SWEEP in seal.mode and not memory.sweep_done,
            Reason.SWEEP_NEEDED,
            "the document was not leafed through to its end",
        ),
        (capture is None or permit.stroke_nonce != capture.stroke_nonce, Reason.WRONG_NONCE, "not for the last photo"),
        (capture is None or permit.photo_digest != capture.photo_digest, Reason.WRONG_PHOTO, "for another photo"),
        (permit.page_digest != page_digest, Reason.WRONG_PHOTO, "for a page of another document"),
    )
    no = no or _check_page(permit, seal, memory)
    no = no or first_no(
        (page_token is None, Reason.NO_PAGE, "no page on the tray"),
        (capture is None or page_token != capture.page_token, Reason.PAGE_MOVED, "the page moved after the photo"),
    )
    return _with_token(no, permit.token_id) or permit


def _check_page(permit: Permit, seal: SealClaims, memory: Memory) -> No | None:
    """Whether the token's mode lets a stroke go onto this page."""
    if Mode.STRADDLE in seal.mode:
        seen = memory.captures or ()
        cover = permit.cover_digest
        return first_no(
            (permit.page != FAN, Reason.WRONG_PAGE, "a straddle goes over the edges of all pages"),
            (
                cover is None or cover == permit.photo_digest or cover not in seen,
                Reason.WRONG_PHOTO,
                "the cover was not photographed in this grant",
            ),
        )
    outside = seal.first_page is not None and not seal.first_page <= permit.page <= (seal.last_page or 0)
    another = Mode.BATCH not in seal.mode and memory.page not in (None, permit.page)
    return first_no(
        (permit.cover_digest is not None, Reason.WRONG_MODE, "a cover belongs to a straddle"),
        (permit.page == FAN or outside, Reason.WRONG_PAGE, f"page {permit.page} is not in the token"),
        (another, Reason.WRONG_PAGE, f"this grant is for page {memory.page} alone"),
    )


def _with_token(no: No | None, token_id: bytes) -> No | None:
    return None if no is None else No(reason=no.reason, detail=no.detail, token_id=token_id)


def _life_s(token: Token) -> int:
    return (token.exi_s or 0) + token.seal.window_s


def _age_s(nonce: Nonce, moment: Moment) -> float:
    return (moment.now_ms - nonce.made_ms) / 1000


def _head(memory: Memory, slot: int) -> bytes | None:
    """The head in that slot, None when the slot is empty or not there."""
    head = memory.heads[slot] if slot < len(memory.heads) else NO_HEAD
    return None if head == NO_HEAD else head
