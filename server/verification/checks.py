"""What a verification found: an ordered list of named checks, each saying what was compared."""

from dataclasses import dataclass, field
from enum import StrEnum


class Result(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_SHOWN = "not_shown"  # the bundle does not open what the comparison needs; neither good nor bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One comparison. `member` is the file in the bundle that it is about; empty: the bundle as a whole."""

    name: str
    result: Result
    compared: str
    member: str = ""

    @property
    def passed(self) -> bool:
        return self.result is Result.PASSED


@dataclass(slots=True)
class Checks:
    """The list while it grows. A group that found nothing wrong says so in one line; each fault gets its own."""

    done: list[Check] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return any(check.result is Result.FAILED for check in self.done)

    def add(self, name: str, compared: str, *, passed: bool, member: str = "") -> bool:
        """Returns `passed`."""
        result = Result.PASSED if passed else Result.FAILED
        self.done.append(Check(name=name, result=result, compared=compared, member=member))
        return passed

    def fail(self, name: str, compared: str, *, member: str = "") -> None:
        self.add(name, compared, passed=False, member=member)

    def not_shown(self, name: str, compared: str, *, member: str = "") -> None:
        self.done.append(Check(name=name, result=Result.NOT_SHOWN, compared=compared, member=member))

    def group(self, name: str, faults: list[tuple[str, str]], *, summary: str) -> bool:
        """`faults`: (member, what does not fit). Returns whether there were none."""
        for member, compared in faults:
            self.fail(name, compared, member=member)
        return not faults and self.add(name, summary, passed=True)
