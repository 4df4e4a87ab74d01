"""Planted bugs: each a small change of our own code at run time, and each must be caught by an oracle on some seed."""
