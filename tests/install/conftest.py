"""Makes a clean Debian to install the packages of target/dist in: nothing is in it but Python and certificates.

Environment:
    PACKAGES   the folder with the packages (default target/dist)
    SUITE      the release of Debian (default bookworm)
    BASE       a folder in which the root is made once, and from which it is copied: saves a minute each time

Needs root, debootstrap, and the way to a Debian mirror and to PyPI. Who runs these tests wants them run: what is missing is an error."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from clean_root import CleanRoot, timed

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PACKAGES = Path(os.environ.get("PACKAGES", REPOSITORY / "target/dist"))
SUITE = os.environ.get("SUITE", "bookworm")


def pytest_sessionstart(session):
    missing = [tool for tool in ("debootstrap", "unshare", "chroot") if not shutil.which(tool)]
    if missing:
        raise pytest.UsageError(f"missing: {', '.join(missing)} (Debian: apt-get install debootstrap util-linux)")
    if os.geteuid() != 0:
        raise pytest.UsageError("a root is made and entered by root only: sudo make test-install")


@pytest.fixture(scope="session")
def package():
    """The one package of a pattern in which {machine} stands for this machine; for Debian {architecture}."""
    machine = platform.machine()
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)

    def find(pattern):
        found = sorted(PACKAGES.glob(pattern.format(machine=machine, architecture=architecture)))
        assert len(found) == 1, f"{pattern} in {PACKAGES}: {found or 'none: make dist'}"
        return found[0]

    return find


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    base = Path(os.environ.get("BASE") or tmp_path_factory.mktemp("base") / SUITE)
    if not base.exists():
        with timed(f"a clean Debian {SUITE} with Python (debootstrap)"):
            packages = "--include=ca-certificates,python3,python3-venv"
            subprocess.run(["debootstrap", "--variant=minbase", packages, SUITE, base], check=True, stdout=subprocess.DEVNULL)
    path = tmp_path_factory.mktemp("debian") / SUITE
    subprocess.run(["cp", "-a", base, path], check=True)
    yield CleanRoot(path)
    # Nothing is mounted there any more: each command had its mounts to itself.
    shutil.rmtree(path)
