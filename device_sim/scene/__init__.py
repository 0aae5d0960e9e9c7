"""The scene of the simulated device: paper, ink, light and camera. No sockets, no clock, injected randomness."""
