"""The actors of allstop: what works, and the runtime it works on."""

if __name__ != "allstop.actors":  # a second copy would have classes of its own
    raise ImportError("import allstop.actors, not actors")
