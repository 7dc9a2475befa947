"""The counts that ``edges.c`` keeps while a core built with ``COVERAGE=1`` runs."""

import ctypes

__all__ = ["Edges"]


class Edges:
    """Loaded before the core, whose calls it answers.

    :param library: path of the compiled ``edges.c``
    """

    def __init__(self, library: str) -> None:
        loaded = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        loaded.blocks_run.restype = ctypes.c_uint64
        self._loaded = loaded

    def start_input(self) -> None:
        """Forget what the last input did."""
        self._loaded.start_input()

    def blocks_run(self) -> int:
        """How many basic blocks the input ran."""
        return int(self._loaded.blocks_run())

    def keep_new(self) -> int:
        """How many edges no input took before, or not as often; they are known from now on."""
        return int(self._loaded.keep_new())
