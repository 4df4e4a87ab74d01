"""Handlers that take too long: the watchdog beside the loop, the deadline of one message, and the stacks both show."""
