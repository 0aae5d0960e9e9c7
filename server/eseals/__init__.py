"""Electronic seals: certificates, time stamps, PAdES sealing, the verdict on a sealed PDF, the gate for documents."""
