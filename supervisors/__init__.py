"""The supervisors of allstop: what keeps the actors alive, and stops them when it cannot."""

if __name__ != "allstop.supervisors":  # a second copy would have classes of its own
    raise ImportError("import allstop.supervisors, not supervisors")
