"""Build the compiled core.

Switches, read from the environment:
``DEBUG=1`` keeps symbols and assertions, ``SANITIZE=1`` adds ASAN and UBSAN, ``COVERAGE=1`` traces
lines.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCE = Path("src")
DEBUG = bool(os.environ.get("DEBUG"))
SANITIZE = bool(os.environ.get("SANITIZE"))
COVERAGE = bool(os.environ.get("COVERAGE"))

compile_args: list[str] = []
link_args: list[str] = []
macros: list[tuple[str, str | None]] = []
if os.name != "nt":
    compile_args += ["-O0", "-g"] if DEBUG else ["-O2", "-g0"]
    compile_args += ["-fno-strict-aliasing", "-Wno-unused-function"]
if SANITIZE:
    flags = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g"]
    compile_args += flags
    link_args += flags
if COVERAGE:
    macros.append(("CYTHON_TRACE", "1"))

extensions = [
    Extension(
        ".".join(path.relative_to(SOURCE).with_suffix("").parts),
        [str(path)],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        define_macros=macros,
    )
    for path in sorted(SOURCE.rglob("*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        include_path=[str(SOURCE)],
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "embedsignature": True,
            "linetrace": COVERAGE,
        },
    ),
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
