"""One module per campaign of fault schedules, fuzzing or soaking; each offers `run(options) -> Report`."""
