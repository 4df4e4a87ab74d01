"""Telling people: channels, each an actor of its own."""
