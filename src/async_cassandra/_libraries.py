"""Compiled modules that come from few libraries, one for each package that has any.

What a request runs through lies side by side in memory that way. As a file of its own each module had its
pages of code, constants and variables, and the processor had to look up the places of all of them again
whenever another program, as often the server, had run in between.
"""

import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from typing import Any


class LibraryFinder:
    """Finds the modules of the libraries that it has been told of; the import system asks it by name."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def add(self, library: Any) -> None:
        """Note what is in a package's library, which is its module ``_compiled``."""
        package = library.__name__.rpartition(".")[0]
        for name in library.modules.split():
            self._files[f"{package}.{name}"] = library.__file__

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        file = self._files.get(name)
        if file is None:
            return None
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, file))


LIBRARIES = LibraryFinder()
sys.meta_path.insert(0, LIBRARIES)
