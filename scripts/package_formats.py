"""Writes a tree of files as a wheel, a Debian package or an archive. Knows the formats, and nothing of what is inside."""

import base64
import gzip
import hashlib
import io
import os
import re
import subprocess
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple


class File(NamedTuple):
    """A file to be packed: its path below the prefix, its bytes."""

    path: str
    content: bytes
    executable: bool = False

    @property
    def mode(self):
        return 0o755 if self.executable else 0o644


def glibc(binary):
    """The oldest glibc that a program or library runs with, as (2, 34): each symbol that it takes names a version."""
    return max((int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", binary))


def wheel(folder, name, version, tag, tree, when, quick, info):
    """A wheel (https://packaging.python.org/en/latest/specifications/binary-distribution-format/). `info` has the files of its
    .dist-info, METADATA among them; what lies in bin/ are its scripts."""
    data, dist_info = f"{name}-{version}.data", f"{name}-{version}.dist-info"
    placed = [
        file._replace(path=f"{data}/scripts/{file.path.removeprefix('bin/')}" if file.path.startswith("bin/") else f"{data}/data/{file.path}")
        for file in tree
    ]
    info = info | {"WHEEL": f"Wheel-Version: 1.0\nGenerator: rerank-proxy\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()}
    placed += [File(f"{dist_info}/{path}", content) for path, content in info.items()]
    placed.sort()
    record = "".join(f"{file.path},sha256={_urlsafe_sha256(file.content)},{len(file.content)}\n" for file in placed)
    # The archive's entries: RECORD comes last, as the format recommends.
    placed.append(File(f"{dist_info}/RECORD", f"{record}{dist_info}/RECORD,,\n".encode()))
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1 if quick else 9) as archive:
        for file in placed:
            entry = zipfile.ZipInfo(file.path, time.gmtime(when)[:6])
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, (0o100000 | file.mode) << 16
            archive.writestr(entry, file.content)
    return path


def _urlsafe_sha256(content):
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def archive(folder, name, tree, when, quick):
    """A .tar.gz with one folder in it."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in sorted(tree):
            entry = tarfile.TarInfo(f"{name}/{file.path}")
            entry.size, entry.mode, entry.mtime = len(file.content), file.mode, when
            archive.addfile(entry, io.BytesIO(file.content))
    path = folder / f"{name}.tar.gz"
    path.write_bytes(gzip.compress(plain.getvalue(), 1 if quick else 9, mtime=0))
    return path


def deb(path, tree, control, when, quick):
    """A Debian package, by dpkg-deb, which is where the format is at home. Files of `control` that begin with #! are scripts."""
    with tempfile.TemporaryDirectory() as root:
        sums = "".join(f"{hashlib.md5(file.content).hexdigest()}  {file.path}\n" for file in sorted(tree) if not file.path.startswith("etc/"))
        control = control | {"md5sums": sums}
        scripts = [File(f"DEBIAN/{name}", text.encode(), text.startswith("#!")) for name, text in control.items()]
        for file in [*tree, *scripts]:
            target = Path(root, file.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)
            target.chmod(file.mode)
        for folder, folders, _ in os.walk(root):
            for each in [folder, *(os.path.join(folder, name) for name in folders)]:
                os.chmod(each, 0o755)
        compression = ["-Zgzip", "-z1"] if quick else ["-Zxz"]
        subprocess.run(
            ["dpkg-deb", *compression, "--root-owner-group", "--build", root, path],
            check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": str(when)},
        )
    return path
