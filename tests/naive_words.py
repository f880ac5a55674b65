"""Words of EVT2, records of DAT and events of AEDAT 4 decoded one by one in Python: slow, obvious,
and apart from the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_STEP_US = 1_000_000


@dataclass
class Decoded:
    """Events (t, x, y, p), triggers (t, channel, edge), and counts by name."""

    events: list[tuple[int, int, int, int]] = field(default_factory=list)
    triggers: list[tuple[int, int, int]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    high: int = -1

    def count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def place(self, t, x, y, p, *, height, width) -> None:
        if y < height and x < width:
            self.events.append((t, x, y, p))
        else:
            self.count("outside")


def signed(value, before, modulus):
    """Return the shorter way from one value of a counter to another."""
    return (value - before + modulus // 2 - 1) % modulus - modulus // 2 + 1


def evt2(words, *, height, width):
    """Decode words of EVT2 whose times go on step by step, back a little, or jump."""
    found = Decoded()
    modulus = 2**28
    for i, word in enumerate(words):
        kind, rest = word >> 28, word & (modulus - 1)
        if kind in (0, 1):
            found.count("found")
            if found.high < 0:
                found.count("no_time")
                continue
            t = found.high * 64 + (rest >> 22)
            x, y = (rest >> 11) % 2048, rest % 2048
            found.place(t, x, y, kind, height=height, width=width)
        elif kind == 8:
            later = [other & (modulus - 1) for other in words[i + 1 :] if other >> 28 == 8]
            take_high(found, rest, later[0] if later else None, modulus)
        elif kind == 10 and found.high >= 0:
            found.count("triggers")
            found.triggers.append((found.high * 64 + (rest >> 22), (rest >> 8) % 32, rest % 2))
        else:
            found.count("other" if kind in (10, 13, 14, 15) else "unknown")
    return found


def take_high(found, value, following, modulus) -> None:
    """Take the high part of the time: a step that is not usual needs the next one to agree."""
    if found.high < 0:
        found.high = value
        return
    step = signed(value, found.high % modulus, modulus)
    if step == 0:
        return
    if not -10 <= step <= 1:
        if following is not None and abs(signed(following, found.high % modulus, modulus)) < abs(
            signed(following, value, modulus)
        ):
            found.count("times_damaged")
            return
        found.count("times_jumped")
    if step < 0:
        found.count("times_back")
        if found.high + step < 0:
            return
    if (found.high + step) // modulus > found.high // modulus:
        found.count("wraps")
    found.high += step


def dat(records, *, height, width, x_bits, y_bits):
    """Decode records of a 32-bit time and an address."""
    found = Decoded()
    modulus, last = 2**32, -1
    for i, (stamp, address) in enumerate(records):
        found.count("found")
        now = stamp
        if last >= 0:
            lap = last // modulus * modulus
            now = lap + stamp
            if not 0 <= now - last <= MOST_STEP_US:
                step = signed(stamp, last % modulus, modulus)
                if abs(step) > MOST_STEP_US and i + 1 < len(records):
                    following = records[i + 1][0]
                    if abs(signed(following, last % modulus, modulus)) < abs(
                        signed(following, stamp, modulus)
                    ):
                        found.count("no_time")
                        continue
                    found.count("times_jumped")
                now = last + step
                if now < 0:
                    found.count("no_time")
                    continue
                if step < 0:
                    found.count("times_back")
                if now // modulus > last // modulus:
                    found.count("wraps")
        last = now
        x, y = address % 2**x_bits, (address >> x_bits) % 2**y_bits
        on = int((address >> (x_bits + y_bits)) % 16 > 0)
        found.place(now, x, y, on, height=height, width=width)
    found.high = last
    return found


def aedat4(stored, *, height, width):
    """Decode events of a time and a word of x, y (signed, 16 bits each) and polarity (8 bits)."""
    events, outside, untimed = [], 0, 0
    for time, word in stored:
        x, y, p = word % 2**16, (word >> 16) % 2**16, (word >> 32) % 2**8
        if x >= min(width, 2**15) or y >= min(height, 2**15):
            outside += 1
        elif time < 0:
            untimed += 1
        else:
            events.append((time, x, y, int(p != 0)))
    return events, outside, untimed
