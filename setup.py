"""Build the compiled core: every .pyx of the package, as one library.

Switches, read from the environment: ``DEBUG=1`` keeps symbols and assertions, ``SANITIZE=1`` adds ASAN and UBSAN,
``COVERAGE=1`` counts lines for gcov and calls ``__sanitizer_cov_trace_pc`` at each branch (both need gcc, for
``tests/fuzz``), ``TRACE=1`` reports calls to ``sys.monitoring``, ``PARTS=_wire`` builds packages of this pattern only.
"""

import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

PACKAGE = Path("src", "async_cassandra")
HEADERS = PACKAGE / "_wire"
SWITCHES = [name for name in ("DEBUG", "SANITIZE", "COVERAGE", "TRACE") if os.environ.get(name)]
# What was compiled otherwise is not taken for what is to be compiled now.
BUILD = Path("build", "-".join([sysconfig.get_config_var("EXT_SUFFIX").split(".")[1], *SWITCHES]))
FLAGS = {
    # A call into Python's own code takes one jump, and no stub with a line of the instruction cache.
    "linux": "-fno-plt",
    "posix": f"-O2 -g0 -fno-strict-aliasing -Wno-unused-function -include {HEADERS / 'cold.h'}",
    "DEBUG": "-O0 -g",
    "SANITIZE": "-fsanitize=address,undefined -fno-omit-frame-pointer -g1",
    "COVERAGE": "-O0 --coverage -fsanitize-coverage=trace-pc",
    "TRACE": "-O0 -DCYTHON_TRACE_NOGIL=1",
}
# A __setstate__ of Cython's takes its attributes from any tuple, without a look at its length.
DIRECTIVES = {"auto_pickle": False, "boundscheck": False, "wraparound": False}
DIRECTIVES |= {"cdivision": True, "embedsignature": True, "profile": "TRACE" in SWITCHES}


def library() -> Extension:
    made_c = partial(cythonize, build_dir=str(BUILD / "c"), compiler_directives=DIRECTIVES)
    modules = made_c(f"{PACKAGE}/{os.environ.get('PARTS', '*')}/*.pyx")
    # The module that the library is loaded as says which others are in it (async_cassandra/_library.py).
    first, text = BUILD / "_compiled.pyx", f"modules = '{' '.join(each.name for each in modules)}'"
    if not first.exists() or first.read_text() != text:
        first.write_text(text)
    switched = " ".join(FLAGS[name] for name in SWITCHES)
    return Extension(
        "async_cassandra._compiled",
        [source for module in (*made_c(str(first)), *modules) for source in module.sources],
        include_dirs=[str(HEADERS)],
        extra_compile_args=f"{FLAGS.get(os.name, '')} {FLAGS.get(sys.platform, '')} {switched}".split(),
        extra_link_args=switched.split(),
        depends=["setup.py", *map(str, HEADERS.glob("*.h"))],
    )


class BuildLibrary(build_ext):
    """Compiles as many files at a time as there are processors; in a working copy only those that changed."""

    def build_extensions(self) -> None:
        if self.editable_mode:
            self.build_temp = str(BUILD / "objects")
        compile_one, name_objects = self.compiler.compile, self.compiler.object_filenames

        def compile_changed(sources: list[str], **options: object) -> list[str]:
            made = name_objects(sources, output_dir=options["output_dir"])
            changed = [
                [source]
                for source, file in zip(sources, made, strict=True)
                if self.force or newer_group([source, *options["depends"]], file)
            ]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(partial(compile_one, **options), changed))
            return made

        self.compiler.compile = compile_changed
        super().build_extensions()


setup(ext_modules=[library()], cmdclass={"build_ext": BuildLibrary})
