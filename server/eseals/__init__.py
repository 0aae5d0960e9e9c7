"""Electronic seals: certificates, time stamps, PAdES sealing, the verdict on a sealed PDF, the gate for documents."""

import logging

for _library in ("pyhanko", "pyhanko_certvalidator"):
    # What it makes of a hostile file is told by the verdict; without a handler it would print tracebacks on stderr.
    logging.getLogger(_library).addHandler(logging.NullHandler())
# "Fetching is not allowed" at every seal: that is how we want it (no network at sealing).
logging.getLogger("pyhanko.sign.signers.pdf_signer").setLevel(logging.ERROR)
