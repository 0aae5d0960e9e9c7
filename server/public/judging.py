"""A stranger's PDF, judged in a sandboxed child: plain values in and out, so that only this crosses the pipe."""

from server.core.clock import SystemClock
from server.eseals.offline import verdict_of
from server.verification.trust import read_bundle


def judge_pdf(data: bytes, trust: bytes, listed: bool) -> list[str]:  # noqa: FBT001 - plain arguments cross the pipe
    """[outcome, reasons joined by a comma, signer, time in ISO form or ""]. `listed`: we sealed exactly these bytes."""
    bundle = read_bundle(trust)
    verdict = verdict_of(data, [bundle], now=SystemClock().now(), known_digests=lambda _digest: listed)
    sealed_at = verdict.sealed_at.isoformat() if verdict.sealed_at else ""
    return [verdict.outcome, ",".join(verdict.reasons), verdict.signer, sealed_at]
