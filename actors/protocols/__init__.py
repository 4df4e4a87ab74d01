"""Bytes to events and back: pure functions of values, with no socket, clock or thread."""
