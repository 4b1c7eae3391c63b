"""A gateway under load whose parts are killed, stalled and cut off, and what came of it."""
