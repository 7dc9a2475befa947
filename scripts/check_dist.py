"""Check the contents of the wheel and the sdist in dist/, and the wheel in a clean environment.

usage: python scripts/check_dist.py [--run]
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "async_cassandra"

IMPORT_PROGRAM = """
import importlib.metadata, pkgutil, sys
import async_cassandra
assert "site-packages" in async_cassandra.__file__, async_cassandra.__file__
skipped = ("async_cassandra.contrib.", "async_cassandra.server.")
for module in pkgutil.walk_packages(async_cassandra.__path__, "async_cassandra."):
    if not module.name.startswith(skipped):
        importlib.import_module(module.name)
for name in sys.argv[1:]:
    importlib.import_module(name)
print("the wheel imports:", importlib.metadata.version("async-cassandra"))
"""


SERVER_PROGRAM = """
import os, subprocess, sys
from async_cassandra.server import CassandraServer
with CassandraServer(port=0) as server:
    address = {
        "CASSANDRA_CONTACT_POINTS": ",".join(server.contact_points),
        "CASSANDRA_PORT": str(server.port),
    }
    subprocess.run([sys.executable, "-I", sys.argv[1]], check=True, env=os.environ | address)
"""


def sources(*suffixes: str) -> set[str]:
    found = (path for path in PACKAGE.rglob("*") if path.suffix in suffixes)
    return {path.relative_to(PACKAGE.parent).as_posix() for path in found}


def check_wheel(names: list[str]) -> list[str]:
    faults = [
        f"wheel: {name} should not be in it"
        for name in names
        if name.endswith((".c", ".h", ".pyx", ".pxd"))
    ]
    binaries = {name.split(".", 1)[0] for name in names if name.endswith((".so", ".pyd"))}
    if binaries != {"async_cassandra/_compiled"}:
        faults.append(f"wheel: its libraries are {sorted(binaries)}, not async_cassandra/_compiled")
    wanted = sources(".py", ".pyi", ".txt") | {"async_cassandra/py.typed"}
    faults += [f"wheel: {name} is missing" for name in sorted(wanted - set(names))]
    faults += [
        f"wheel: {wanted} is missing"
        for wanted in ("LICENSE", "NOTICE")
        if not any(name.endswith(f".dist-info/licenses/{wanted}") for name in names)
    ]
    return faults


def check_sdist(names: list[str]) -> list[str]:
    inside = {name.split("/", 1)[1] for name in names if "/" in name}
    faults = [
        f"sdist: {name} should not be in it"
        for name in inside
        if name.endswith((".so", ".pyd")) or (name.startswith("src/") and name.endswith(".c"))
    ]
    wanted = {f"src/{name}" for name in sources(".py", ".pyx", ".pxd", ".h", ".pyi", ".txt")}
    wanted |= {
        "src/async_cassandra/py.typed",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "NOTICE",
    }
    return faults + [f"sdist: {name} is missing" for name in sorted(wanted - inside)]


def run_installed(wheel: Path, *, run: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = Path(folder, "Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        uv = Path(sys.executable).with_name("uv")
        wanted = f"{wheel}[server]" if run else str(wheel)
        lock = ROOT / "requirements" / "dev.txt"
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", python, "-c", lock, wanted], check=True
        )
        compiled = [name.removesuffix(".pyx").replace("/", ".") for name in sorted(sources(".pyx"))]
        subprocess.run([python, "-I", "-c", IMPORT_PROGRAM, *compiled], check=True, cwd=folder)
        if run:
            program = str(ROOT / "examples" / "first_program.py")
            command = [str(python), "-I", "-c", SERVER_PROGRAM, program]
            if os.environ.get("CASSANDRA_CONTACT_POINTS"):
                command = [str(python), "-I", program]
            subprocess.run(command, check=True, cwd=folder)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the wheel and the sdist in dist/.")
    parser.add_argument(
        "--run", action="store_true", help="run the first program on a real Cassandra"
    )
    run = bool(parser.parse_args().run)
    (wheel,) = (ROOT / "dist").glob("*.whl")
    (sdist,) = (ROOT / "dist").glob("*.tar.gz")
    faults = check_wheel(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        faults += check_sdist(archive.getnames())
    if faults:
        print(*faults, sep="\n", file=sys.stderr)
        return 1
    run_installed(wheel, run=run)
    print(f"{wheel.name} and {sdist.name} are complete")
    return 0


if __name__ == "__main__":
    sys.exit(main())
