"""The proving ground: a tree in a simulated world, under one seed, with faults by plan."""
