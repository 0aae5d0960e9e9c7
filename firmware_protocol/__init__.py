"""The contract with a seal device, protocol `seal/1`: framing, messages, signed objects.

Pure: no I/O, no clock, no randomness.
"""
