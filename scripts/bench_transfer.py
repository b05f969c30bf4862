"""How much memory the proxy holds while 1 GiB passes through it, one way and the other: for bench_pass_through.py."""

import socket
from urllib.parse import urlsplit

from bench_servers import ANY
from overload import resident_mib

BYTES = 1 << 30
PIECE = 1 << 20
# How often the memory is looked at, in pieces.
EVERY = 16


def growth(url: str, process: int) -> dict:
    """Resident memory before, at its most and after, of a 1 GiB answer and of a 1 GiB body."""
    found = {way: one(url, process) for way, one in (("down", down), ("up", up))}
    print("\nmemory of the proxy while 1 GiB passes through")
    for way, transfer in found.items():
        print(
            f"    {way:>4}: {transfer['before_mib']:.1f} MiB before, {transfer['most_mib']:.1f} at most,"
            f" {transfer['after_mib']:.1f} after",
            flush=True,
        )
    return found


def down(url: str, process: int) -> dict:
    with connected(url) as stream:
        stream.sendall(f"GET /stream/{BYTES} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\n\r\n".encode())
        seen, received, buffer = [resident_mib(process)], 0, bytearray(PIECE)
        next_look = 0
        # The head comes on top of the body, so this ends before the last bytes; they do not matter here.
        while received < BYTES:
            count = stream.recv_into(buffer)
            if not count:
                raise SystemExit(f"error: the answer of 1 GiB broke off after {received} bytes")
            received += count
            if received >= next_look:
                seen.append(resident_mib(process))
                next_look += EVERY * PIECE
    return told(seen, process)


def up(url: str, process: int) -> dict:
    with connected(url) as stream:
        head = f"POST /fixed/1 HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\ncontent-length: {BYTES}\r\n\r\n"
        stream.sendall(head.encode())
        seen, piece = [resident_mib(process)], b"x" * PIECE
        for number in range(BYTES // PIECE):
            stream.sendall(piece)
            if number % EVERY == 0:
                seen.append(resident_mib(process))
        if not stream.recv(64).startswith(b"HTTP/1.1 200"):
            raise SystemExit("error: the body of 1 GiB was not answered with 200")
    return told(seen, process)


def connected(url: str) -> socket.socket:
    split = urlsplit(url)
    stream = socket.create_connection((split.hostname, split.port), timeout=60)
    return ANY.wrap_socket(stream) if split.scheme == "https" else stream


def told(seen: "list[float]", process: int) -> dict:
    after = resident_mib(process)
    most = max([*seen, after])
    return {"before_mib": seen[0], "most_mib": most, "after_mib": after, "growth_mib": most - seen[0]}
