"""Build the compiled core.

Switches, read from the environment:
``DEBUG=1`` keeps symbols and assertions, ``SANITIZE=1`` adds ASAN and UBSAN, ``COVERAGE=1`` counts
lines for gcov and calls ``__sanitizer_cov_trace_pc`` at each branch, ``PARTS=_wire`` builds the packages
of this name or pattern only. SANITIZE and COVERAGE need gcc, and what they build runs inside ``tests/fuzz`` only.
"""

import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

SOURCE = Path("src")
COLD = SOURCE / "async_cassandra" / "_wire" / "cold.h"
DEBUG = bool(os.environ.get("DEBUG"))
SANITIZE = bool(os.environ.get("SANITIZE"))
COVERAGE = bool(os.environ.get("COVERAGE"))
PARTS = os.environ.get("PARTS", "*")
# What was compiled otherwise is not taken for what is to be compiled now.
VARIANT = "-".join(
    [sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag]
    + [name for name in ("DEBUG", "SANITIZE", "COVERAGE") if os.environ.get(name)]
)

compile_args: list[str] = []
link_args: list[str] = []
if os.name != "nt":
    compile_args += ["-O0", "-g"] if DEBUG else ["-O2", "-g0"]
    compile_args += ["-fno-strict-aliasing", "-Wno-unused-function"]
    compile_args += ["-include", str(COLD)]
if sys.platform == "linux":
    # A call into Python's own code takes one jump, and no stub with a line of the instruction cache.
    compile_args += ["-fno-plt"]
if SANITIZE:
    flags = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g1"]
    compile_args += flags
    link_args += flags
if COVERAGE:
    compile_args += ["-O0", "--coverage", "-fsanitize-coverage=trace-pc"]
    link_args += ["--coverage"]

# The module that a package's library is loaded as; it says which others are in it (async_cassandra/_libraries.py).
LIBRARY = """\
#include <Python.h>

static int name_modules(PyObject *module)
{
    return PyModule_AddStringConstant(module, "modules", "%s");
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, name_modules}, {0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_compiled", .m_slots = slots};

PyMODINIT_FUNC PyInit__compiled(void)
{
    return PyModuleDef_Init(&definition);
}
"""


def library(package: Path, modules: list[Extension]) -> Extension:
    """All compiled modules of a package as one library."""
    first = package / "_compiled.c"
    text = LIBRARY % " ".join(module.name.rpartition(".")[2] for module in modules)
    if not first.exists() or first.read_text() != text:
        first.write_text(text)
    return Extension(
        ".".join((*package.relative_to(SOURCE).parts, "_compiled")),
        [str(first), *(source for module in modules for source in module.sources)],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        depends=[str(COLD), "setup.py"],
    )


class BuildLibraries(build_ext):
    """Compiles as many files at a time as there are processors; in a working copy only those that changed."""

    def build_extensions(self) -> None:
        if self.editable_mode:
            self.build_temp = str(Path("build", "objects", VARIANT))
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


modules = cythonize(
    [
        Extension(".".join(path.relative_to(SOURCE).with_suffix("").parts), [str(path)])
        for path in sorted(SOURCE.glob(f"*/{PARTS}/*.pyx"))
    ],
    include_path=[str(SOURCE)],
    compiler_directives={
        "language_level": "3",
        # A __setstate__ of Cython's takes its attributes from any tuple, without a look at its length.
        "auto_pickle": False,
        "boundscheck": False,
        "wraparound": False,
        "cdivision": True,
        "embedsignature": True,
    },
)

setup(
    ext_modules=[
        library(package, list(parts))
        for package, parts in groupby(modules, lambda module: Path(module.sources[0]).parent)
    ],
    cmdclass={"build_ext": BuildLibraries},
)
