"""What stands in front of the handlers of one actor, for a while: a receive timeout, somebody who watches.

Each is a layer: a function that makes a handler of a handler. While there is one, attributes of the instance hide the
methods of its class. So every way of a message leads through them (run loop, task, thread, a call answered in place,
a proxy), and an actor without them pays nothing.
"""

from collections.abc import Callable, Hashable
from typing import Any, Final

HANDLERS: Final = ("on_receive", "_handle_receive")  # the second is what a proxy's calls go through
LAYERS: Final = "_shadows"  # the attribute that lists them, innermost first

Handle = Callable[[Any], Any]
Layer = Callable[[Handle], Handle]


def shadow(actor: Any, key: Hashable, layer: Layer) -> None:
    """Puts a layer in front of what is there. One of the same key is replaced."""
    with actor.system.lock:  # the actor's thread and the loop's may both
        layers = {**vars(actor).get(LAYERS, {})}
        layers.pop(key, None)
        layers[key] = layer
        _stack(actor, layers)


def unshadow(actor: Any, key: Hashable) -> None:
    """Takes a layer away, wherever it stands. A message that is within it still passes through it."""
    with actor.system.lock:
        layers = {**vars(actor).get(LAYERS, {})}
        if layers.pop(key, None) is not None:
            _stack(actor, layers)


def _stack(actor: Any, layers: dict[Hashable, Layer]) -> None:
    own = vars(actor)
    for name in HANDLERS:
        handle: Handle = getattr(type(actor), name).__get__(actor)
        for layer in layers.values():
            handle = layer(handle)
        if layers:
            own[name] = handle
        else:
            del own[name]
    if layers:
        own[LAYERS] = layers
    else:
        del own[LAYERS]
