"""The company and the office, once for all slices: an installation takes seconds to make."""

from tests.server.office import gateway, office
from tests.server.world import clock, company, installation, keys, run, with_passwords, workers

__all__ = ["clock", "company", "gateway", "installation", "keys", "office", "run", "with_passwords", "workers"]
