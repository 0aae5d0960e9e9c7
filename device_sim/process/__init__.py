"""The simulated device as a process: real disk, pty, sockets and threads around the pure core."""
