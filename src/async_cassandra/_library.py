"""The compiled modules, which all come from one library.

So the code that a request runs through lies side by side in memory. As separate files, each module has its
own pages of code, constants and variables, and the processor has to look up all of them again
whenever another program, often the server, has run in between.
"""

import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location

import async_cassandra._compiled as _compiled  # type: ignore[import-not-found]


class LibraryFinder:
    """Finds the modules in the library; the import system asks it by name."""

    def __init__(self, file: str, modules: str) -> None:
        self._file = file
        self.modules: frozenset[str] = frozenset(modules.split())

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return where a compiled module is; ``None`` for any other module."""
        if name not in self.modules:
            return None
        loader = ExtensionFileLoader(name, self._file)
        return spec_from_file_location(name, self._file, loader=loader)


LIBRARY = LibraryFinder(_compiled.__file__, _compiled.modules)
sys.meta_path.insert(0, LIBRARY)
