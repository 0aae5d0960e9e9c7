"""Three fixed places in a document where a stranger may compare one word, without being told the word.

A place names a page, a line and a position; beside it stands only a salted digest of the word. Text written without
spaces (Chinese, Japanese) is compared by two neighbouring characters. Pure.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

PLACES: Final = 3
MAX_LINE: Final = 20
MAX_POSITION: Final = 6
"""Further down or along, people miscount."""
MIN_LETTERS: Final = 4
SALT_SIZE: Final = 16

WordBox = tuple[str, float, float, float, float]
"""Text, then its box x0, y0, x1, y1 in any unit, y downwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`position` counts words of the line from the left; `letters` 2: two characters from there, 0: the whole word."""

    page: int
    line: int
    position: int
    letters: int
    salt: bytes
    digest: bytes

    def agrees(self, typed: str) -> bool:
        """Whether `typed` is what stands there: case, accents, spaces and punctuation do not matter."""
        return digest_of(typed, self.salt) == self.digest


@dataclass(frozen=True, slots=True)
class _Candidate:
    page: int
    line: int
    position: int
    letters: int
    text: str

    def order(self, seed: bytes) -> bytes:
        return hashlib.sha256(seed + repr((self.page, self.line, self.position)).encode()).digest()


def choose(pages: Iterable[Sequence[WordBox]], *, seed: bytes, salt: Callable[[int], bytes]) -> tuple[Place, ...]:
    """Up to PLACES places, the same for the same seed (the code's hash), on different pages where there are several."""
    found = [one for number, words in enumerate(pages, start=1) for one in _candidates(number, words)]
    found.sort(key=lambda one: one.order(seed))
    firsts = list({one.page: one for one in reversed(found)}.values())
    firsts.sort(key=lambda one: one.order(seed))
    chosen = [*firsts, *(one for one in found if one not in firsts)][:PLACES]
    out = []
    for one in chosen:
        fresh = salt(SALT_SIZE)
        out.append(
            Place(
                page=one.page,
                line=one.line,
                position=one.position,
                letters=one.letters,
                salt=fresh,
                digest=digest_of(one.text, fresh),
            )
        )
    return tuple(out)


def digest_of(text: str, salt: bytes) -> bytes:
    return hashlib.sha256(salt + normal(text).encode("utf-8")).digest()


def normal(text: str) -> str:
    """Letters and digits alone, without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text[:200]).casefold()
    return "".join(letter for letter in decomposed if letter.isalnum())


def lines_of(words: Sequence[WordBox]) -> list[list[WordBox]]:
    """Words as lines from the top, each from the left. A word belongs to the line whose middle it covers."""
    lines: list[list[WordBox]] = []
    for word in sorted(words, key=lambda one: (one[2] + one[4]) / 2):
        middle = (word[2] + word[4]) / 2
        if lines and lines[-1][0][2] <= middle <= lines[-1][0][4]:
            lines[-1].append(word)
        else:
            lines.append([word])
    return [sorted(line, key=lambda one: one[1]) for line in lines]


def _candidates(page: int, words: Sequence[WordBox]) -> Iterable[_Candidate]:
    for number, line in enumerate(lines_of(words)[:MAX_LINE], start=1):
        if _is_dense(line):
            for at in range(min(len(line) - 1, MAX_POSITION)):
                pair = line[at][0] + line[at + 1][0]
                if len(normal(pair)) == len(pair) == 2:
                    yield _Candidate(page, number, at + 1, 2, pair)
            continue
        for at, word in enumerate(line[:MAX_POSITION], start=1):
            if len(normal(word[0])) >= MIN_LETTERS:
                yield _Candidate(page, number, at, 0, word[0])


def _is_dense(line: Sequence[WordBox]) -> bool:
    """Whether most of the line is single characters, as in scripts without spaces."""
    return sum(len(word[0]) == 1 for word in line) * 2 > len(line)
