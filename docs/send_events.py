"""Send made-up events to `eventseg stream`: a bar that moves, and noise.

    eventseg stream runs/events tcp://127.0.0.1:7777 &
    python docs/send_events.py --rate 1e6 --seconds 10

    eventseg stream runs/events udp://127.0.0.1:7777 &
    python docs/send_events.py --to udp://127.0.0.1:7777

    python docs/send_events.py --to - | eventseg stream runs/events -

The bytes are those of docs/streaming.md; nothing but NumPy is needed, so this is also a start for
the sender of a camera. It waits for `stream`, which listens some seconds after its start; a
UDP sender cannot see that and sends from the beginning, so give `stream` the time.
"""

import argparse
import socket
import struct
import sys
import time
from urllib.parse import urlsplit

import numpy as np

RECORD = np.dtype(
    {
        "names": ["t", "x", "y", "p"],
        "formats": ["<i8", "<u2", "<u2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
PACKET_US = 5_000
DATAGRAM_BYTES = 4_000 * RECORD.itemsize  # complete records, below the 65,507 bytes of UDP
WAIT_S = 60.0


def packet(rng, t0_us, events, width, height):
    """Return the records of one packet: half of them at the edges of a bar, half noise."""
    records = np.zeros(events, RECORD)
    records["t"] = t0_us + np.sort(rng.integers(0, PACKET_US, events))
    bar = (records["t"] // 4_000) % width
    edge = rng.random(events) < 0.5
    on = rng.random(events) < 0.5
    records["x"] = np.where(edge, (bar + 20 * on) % width, rng.integers(0, width, events))
    records["y"] = rng.integers(0, height, events)
    records["p"] = on
    return records


def connected(host, port):
    """Return a TCP connection to a program that may still have to start."""
    begin_s = time.monotonic()
    while True:
        try:
            return socket.create_connection((host, port))
        except ConnectionRefusedError:
            if time.monotonic() - begin_s > WAIT_S:
                sys.exit(f"nobody listens on {host}:{port}: start eventseg stream first")
            time.sleep(0.2)


def opened(target):
    """Return a function that sends bytes to a target, and one that ends the stream."""
    if target == "-":

        def write(content):
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()

        return write, lambda: None
    parts = urlsplit(target)
    if parts.scheme == "tcp":
        connection = connected(parts.hostname, parts.port)
        return connection.sendall, connection.close
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = parts.hostname, parts.port

    def send(content):
        for first in range(0, len(content), DATAGRAM_BYTES):
            sender.sendto(content[first : first + DATAGRAM_BYTES], address)

    def end():
        sender.sendto(b"", address)  # a datagram of no bytes ends the stream
        sender.close()

    return send, end


def main(arguments=None):
    """Send packets at the pace of a camera."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--to",
        default="tcp://127.0.0.1:7777",
        help="tcp://HOST:PORT, udp://HOST:PORT or - (stdout)",
    )
    parser.add_argument("--rate", type=float, default=1e5, help="events a second")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", default="346x260", metavar="WIDTHxHEIGHT")
    asked = parser.parse_args(arguments)
    width, height = map(int, asked.size.split("x"))
    send, end = opened(asked.to)
    rng, begin_s = np.random.default_rng(0), time.monotonic()
    send(struct.pack("<8sHH4x", b"EVSTREAM", width, height))
    for k in range(int(asked.seconds * 1e6 / PACKET_US)):
        records = packet(rng, k * PACKET_US, int(asked.rate * PACKET_US / 1e6), width, height)
        time.sleep(max(0.0, begin_s + (k + 1) * PACKET_US / 1e6 - time.monotonic()))
        send(records.tobytes())
    end()


if __name__ == "__main__":
    main()
