"""The environment of each client: made once, from its hashed lock, under ``build/bench``."""

import asyncio
import hashlib
import os
import shutil
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

from benchmarks.clients import Entrant

__all__ = ["BUILD", "ROOT", "InstallError", "make_environment", "variables"]

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
LOCKS = Path(__file__).parent / "requirements"


class InstallError(Exception):
    """A client's packages could not be installed."""


async def make_environment(entrant: Entrant) -> Path:
    """Return the Python of a client's environment, making it if its lock has changed.

    :raises InstallError: if the packages cannot be installed
    """
    folder = BUILD / f"venv-{entrant.name}"
    lock = LOCKS / f"{entrant.requirements}.txt"
    wanted = hashlib.sha256(sys.version.encode() + lock.read_bytes()).hexdigest()
    python, stamp = folder / "bin" / "python", folder / "lock.sha256"
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    await _uv("venv", "-q", "--clear", "--python", sys.executable, str(folder))
    await _uv("pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", str(lock))
    if entrant.is_this:
        _install_this(folder)
    stamp.write_text(wanted)
    return python


def _install_this(folder: Path) -> None:
    """Install the checkout as it is installed where this runs, without building it again."""
    bases = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=bases))
    for file in distribution("async-cassandra").files or ():
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file.locate()), target)


async def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise InstallError("uv is missing: pip install uv, or make bench")
    process = await asyncio.create_subprocess_exec(
        uv, *arguments, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    _, stderr = await process.communicate()
    if process.returncode:
        lines = stderr.decode(errors="replace").strip().splitlines()
        raise InstallError("; ".join(line.strip() for line in lines[:4]))


def variables() -> dict[str, str]:
    """Return the environment variables of a client's process: no other packages than its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return inherited | {"PYTHONHASHSEED": "0"}
