"""The scenarios behind the golden scripts, by theme; each function plays one script."""

import inspect
from dataclasses import dataclass
from typing import Callable

ALL = {}
NOT_A_SCRIPT = {
    29: "(a session moves between two servers: needs an ensemble)",
    30: "(2^31 operations are needed to reach the overflow)",
    31: "(about files on disk, not about the client port)",
}


@dataclass
class Scenario:
    """One script: what it shows, the traps it covers, the settings it needs."""
    name: str
    about: list
    traps: list
    config: dict
    play: Callable


def scenario(*traps, **config):
    """Registers a function as a scenario; its docstring becomes the head of the script."""
    def register(play):
        about = inspect.cleandoc(play.__doc__).splitlines()
        settings = {key.replace("__", "."): str(value) for key, value in config.items()}
        ALL[play.__name__] = Scenario(play.__name__, about, sorted(traps), settings, play)
        return play
    return register
