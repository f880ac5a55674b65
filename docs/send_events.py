"""Send made-up events to `eventseg stream RUN tcp://127.0.0.1:7777`: a bar that moves, and noise.

    eventseg stream runs/events tcp://127.0.0.1:7777 &
    python docs/send_events.py --rate 1e6 --seconds 10

The protocol is that of docs/streaming.md; nothing but NumPy is needed, so this is also a start for
the sender of a camera.
"""

import argparse
import socket
import struct
import time

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


def main(arguments=None):
    """Connect and send."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=7777)
    parser.add_argument("--rate", type=float, default=1e5, help="events a second")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", default="346x260", metavar="WIDTHxHEIGHT")
    asked = parser.parse_args(arguments)
    width, height = map(int, asked.size.split("x"))
    rng, begin = np.random.default_rng(0), time.monotonic()
    with socket.create_connection(("127.0.0.1", asked.port)) as connection:
        connection.sendall(struct.pack("<8sHH4x", b"EVSTREAM", width, height))
        for k in range(int(asked.seconds * 1e6 / PACKET_US)):
            records = packet(rng, k * PACKET_US, int(asked.rate * PACKET_US / 1e6), width, height)
            time.sleep(max(0.0, begin + (k + 1) * PACKET_US / 1e6 - time.monotonic()))
            connection.sendall(records.tobytes())


if __name__ == "__main__":
    main()
