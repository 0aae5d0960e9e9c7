"""Why a device said no. Numbers are frozen; the words for people live with the screens."""

from enum import IntEnum


class Reason(IntEnum):
    MALFORMED = 1
    UNKNOWN_KEY = 2
    WRONG_ALGORITHM = 3
    BAD_SIGNATURE = 4
    UNKNOWN_CLAIM = 5
    WRONG_DEVICE = 6
    WRONG_NONCE = 7
    EXPIRED = 8
    NOT_YET_VALID = 9
    OLD_EPOCH = 10
    REPLAYED = 11
    WRONG_HEAD = 12
    BUSY = 13
    JOURNAL_FULL = 14
    TAMPERED = 15
    COVER_OPEN = 16
    NO_PAGE = 17
    PAGE_MOVED = 18
    WRONG_PHOTO = 19
    WRONG_STROKE = 20
    NO_GRANT = 21
    STROKES_USED_UP = 22
    NOT_PAIRED = 23
    ALREADY_PAIRED = 24
    CLOCK_DOUBT = 25
    OUT_OF_ORDER = 26
    UNKNOWN_MESSAGE = 27
    CAMERA_FAILED = 28
    STORAGE_FAILED = 29
    PERMIT_NEEDED = 30
    PAIRING_CLOSED = 31
    NOT_SUPPORTED = 32
    WRONG_CHAIN = 33
    WRONG_OPERATOR = 34
    OPERATOR_NEEDED = 35
    SWEEP_NEEDED = 36
    WRONG_MODE = 37
    WRONG_PAGE = 38
    TOO_MANY_TRIES = 39
    VOUCHER_SPENT = 40
