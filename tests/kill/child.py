"""`python -m tests.kill.child PARENT ARGUMENTS...`: `allstop ARGUMENTS...` in a process that ends with its parent.

The kernel kills it: an engine under test has no code of its own for this that a test could rely on.
"""

import ctypes
import os
import signal
import sys

from allstop.supervisors.cli import main

PR_SET_PDEATHSIG = 1  # linux/prctl.h

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        raise SystemExit("the parent ended before its child began")
    main(sys.argv[2:])
