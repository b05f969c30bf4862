#!/usr/bin/env python3
"""Puts ONNX Runtime's shared library into a folder, out of its wheel on the Python package index.

    fetch_onnxruntime.py VERSION FOLDER [MACHINE]

pip picks the wheel for this machine (Linux and macOS, x86_64 and arm64), or for a Linux on MACHINE (x86_64, aarch64); nothing is installed, only the library and its
licence are unpacked. Run with the Python of a virtual environment, so that pip is there."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# The library inside does not depend on Python, but wheels are made for one. This one exists for every platform.
WHEEL_FOR_PYTHON = "3.13"


def main() -> int:
    version, folder = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as download:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip += ["--only-binary=:all:", "--python-version", WHEEL_FOR_PYTHON, "--dest", download]
        for machine in sys.argv[3:]:
            pip += [part for glibc in range(17, 29) for part in ("--platform", f"manylinux_2_{glibc}_{machine}")]
        done = subprocess.run([*pip, f"onnxruntime=={version}"], check=False)
        if done.returncode != 0:
            print(f"error: pip cannot get onnxruntime {version} for this platform", file=sys.stderr)
            return 1
        (wheel,) = Path(download).glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        wanted = (f"libonnxruntime.so.{version}", f"libonnxruntime.{version}.dylib", "LICENSE", "ThirdPartyNotices.txt")
        with zipfile.ZipFile(wheel) as zipped:
            for name in zipped.namelist():
                if Path(name).name in wanted and name.startswith("onnxruntime/"):
                    with zipped.open(name) as source, open(folder / Path(name).name, "wb") as target:
                        shutil.copyfileobj(source, target)
    found = list(folder.glob("libonnxruntime*"))
    if not found:
        print(f"error: no library in the wheel of onnxruntime {version}", file=sys.stderr)
        return 1
    print(found[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
