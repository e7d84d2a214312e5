"""What the parts of the history service have in common: the engine they work on."""

from services.history.engine import Engine


class Room:
    """One subject of the history service."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
