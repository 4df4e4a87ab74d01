"""Breaking a running engine on purpose, by a script and a seed."""

from allstop.supervisors.chaos.chaos import Act, Chaos, ChaosError, ChaosInjected, NotTrading
from allstop.supervisors.chaos.engine import SystemEngine
from allstop.supervisors.chaos.ports import Engine, Host, Link, Venue
from allstop.supervisors.chaos.script import Script, load_script, run_script

__all__ = [
    "Act",
    "Chaos",
    "ChaosError",
    "ChaosInjected",
    "Engine",
    "Host",
    "Link",
    "NotTrading",
    "Script",
    "SystemEngine",
    "Venue",
    "load_script",
    "run_script",
]
