"""What the device decides: state machine, checks, journal. No I/O, clock or randomness of its own (ports.py)."""
