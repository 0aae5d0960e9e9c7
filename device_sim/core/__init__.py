"""What the device decides: state machine, checks, journal. No I/O, no clock, no randomness of its own (see ports.py)."""
