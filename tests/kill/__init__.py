"""The engine as a process of its own, killed at random moments: what it knows afterwards is what the venue knows."""
