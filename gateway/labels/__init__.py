"""The fallback for a device without a coder: the trace code on a label that the keeper sticks beside the imprint."""
