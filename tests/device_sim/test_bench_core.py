"""The figures of the device core, in their short form."""

from dashboard.bench import core


def test_the_core_is_measured_on_real_parts() -> None:
    assert core.token_verify_us(runs=10) > 0
    assert core.journal_append_p99_us(runs=10) > 0
    assert core.device_unlock_p95_ms(runs=10) > 0
