from tests.server.world import clock, company, installation, keys, run, with_passwords, workers

__all__ = ["clock", "company", "installation", "keys", "run", "with_passwords", "workers"]
