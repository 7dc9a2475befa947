"""Build the compiled core: every .pyx of the package, as one library.

Switches, read from the environment: ``DEBUG=1`` keeps symbols and assertions, ``SANITIZE=1`` adds ASAN and UBSAN,
``COVERAGE=1`` counts lines for gcov and calls ``__sanitizer_cov_trace_pc`` at each branch, ``TRACE=1`` reports each
call of a compiled function to ``sys.monitoring``, ``PARTS=_wire`` builds the packages of this name or pattern only.
SANITIZE and COVERAGE need gcc, and what they build runs inside ``tests/fuzz``.
"""

import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

SOURCE = Path("src")
HEADERS = SOURCE / "async_cassandra" / "_wire"
SWITCHES = [name for name in ("DEBUG", "SANITIZE", "COVERAGE", "TRACE") if os.environ.get(name)]
# What was compiled otherwise is not taken for what is to be compiled now.
BUILD = Path(
    "build",
    "-".join([sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag, *SWITCHES]),
)
FLAGS = {
    "nt": [],
    # A call into Python's own code takes one jump, and no stub with a line of the instruction cache.
    "linux": ["-fno-plt"],
    "posix": [
        "-O2",
        "-g0",
        "-fno-strict-aliasing",
        "-Wno-unused-function",
        "-include",
        str(HEADERS / "cold.h"),
    ],
    "DEBUG": ["-O0", "-g"],
    "SANITIZE": ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g1"],
    "COVERAGE": ["-O0", "--coverage", "-fsanitize-coverage=trace-pc"],
    "TRACE": ["-O0", "-DCYTHON_TRACE_NOGIL=1"],
}
LINK_FLAGS = {"SANITIZE": ["-fsanitize=address,undefined"], "COVERAGE": ["--coverage"]}

# The module that the library is loaded as; it says which others are in it (async_cassandra/_libraries.py).
LIBRARY = """\
#include <Python.h>
static int name_modules(PyObject *module) { return PyModule_AddStringConstant(module, "modules", "%s"); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, name_modules}, {0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_compiled", .m_slots = slots};
PyMODINIT_FUNC PyInit__compiled(void) { return PyModuleDef_Init(&definition); }
"""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def library() -> Extension:
    parts = sorted(SOURCE.glob(f"async_cassandra/{os.environ.get('PARTS', '*')}/*.pyx"))
    # A __setstate__ of Cython's takes its attributes from any tuple, without a look at its length.
    directives = {
        "language_level": "3",
        "auto_pickle": False,
        "boundscheck": False,
        "wraparound": False,
    }
    directives |= {"cdivision": True, "embedsignature": True, "profile": "TRACE" in SWITCHES}
    modules = cythonize(
        [Extension(name_of(path), [str(path)]) for path in parts],
        include_path=[str(SOURCE)], build_dir=str(BUILD / "c"), compiler_directives=directives,
    )  # fmt: skip
    first = BUILD / "c" / "_compiled.c"
    text = LIBRARY % " ".join(map(name_of, parts))
    if not first.exists() or first.read_text() != text:
        first.write_text(text)
    return Extension(
        "async_cassandra._compiled",
        [str(first), *(source for module in modules for source in module.sources)],
        include_dirs=[str(HEADERS)],
        extra_compile_args=[
            flag for key in (os.name, sys.platform, *SWITCHES) for flag in FLAGS.get(key, [])
        ],
        extra_link_args=[flag for key in SWITCHES for flag in LINK_FLAGS.get(key, [])],
        depends=["setup.py", *map(str, HEADERS.glob("*.h"))],
    )


class BuildLibrary(build_ext):
    """Compiles as many files at a time as there are processors; in a working copy only those that changed."""

    def build_extensions(self) -> None:
        if self.editable_mode:
            self.build_temp = str(BUILD / "objects")
        compile_files = self.compiler.compile

        def compile_file(source: str, options: dict) -> str:
            (made,) = self.compiler.object_filenames([source], output_dir=options["output_dir"])
            if self.force or newer_group([source, *options["depends"]], made):
                compile_files([source], **options)
            return made

        def compile_changed(sources: list[str], **options: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(compile_file, sources, [options] * len(sources)))

        self.compiler.compile = compile_changed
        super().build_extensions()


setup(ext_modules=[library()], cmdclass={"build_ext": BuildLibrary})
