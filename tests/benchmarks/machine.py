"""On what a run was measured: a figure without its machine says nothing."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path


def described() -> dict[str, str]:
    """What to print above the table, and to keep beside it."""
    one, five, _ = os.getloadavg()
    return {
        "cpu": f"{cpu_model(Path('/proc/cpuinfo').read_text())}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()} ({built()})",
        "loop": loop(),
        "otp": otp() or "absent",
        "load": f"{one:.1f} over 1 min, {five:.1f} over 5 min, before the run",
    }


def busy() -> bool:
    """Whether so much else runs that a side would have to share its core."""
    return os.getloadavg()[0] > len(os.sched_getaffinity(0)) - 1


def cpu_model(cpuinfo: str) -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def built() -> str:
    """Profile-guided builds are about a tenth faster."""
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "optimised build" if "--enable-optimizations" in arguments else "build without optimisations"


def loop() -> str:
    if importlib.util.find_spec("uvloop") is None:
        return "asyncio (uvloop is not installed)"
    return f"uvloop {importlib.metadata.version('uvloop')}"


def otp() -> str | None:
    """Which Erlang, or None if there is none."""
    if shutil.which("erl") is None:
        return None
    code = "io:format('~s, erts ~s', [erlang:system_info(otp_release), erlang:system_info(version)]), halt()."
    done = subprocess.run(
        ["erl", "+S", "1", "-noshell", "-noinput", "-eval", code],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return f"OTP {done.stdout.strip()}, one scheduler"
