"""One module per bench; its name is the name on the command line and it offers `run(options) -> Report`."""
