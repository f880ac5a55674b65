"""The event sensor in plain loops over plain numbers: slow, and the specification of the kernel."""

from __future__ import annotations

import math

MASK = (1 << 64) - 1


def uniform(seed, pixel, draw):
    """Splitmix64 over three counters, as a number in (0, 1)."""
    z = (seed * 0x9E3779B97F4A7C15 + pixel) & MASK
    z = (z * 0xD1342543DE82EF95 + draw) & MASK
    for _ in range(2):
        z = (z + 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
    return ((z >> 12) + 0.5) / 2**52


def normal(seed, pixel, draw):
    radius = math.sqrt(-2 * math.log(uniform(seed, pixel, draw)))
    return radius * math.cos(2 * math.pi * uniform(seed, pixel, draw + 1))


class Pixel:
    """One pixel: feed it luminances, take its events (t, polarity, signal)."""

    def __init__(self, model, seed, number, on, off, leak, hot):
        self.model, self.seed, self.number = model, seed, number
        self.on, self.off, self.leak, self.hot = on, off, leak, hot
        self.draws = 0
        self.events = []

    def draw(self):
        self.draws += 1
        return uniform(self.seed, self.number, self.draws - 1)

    def respond(self, luminance):
        if self.model.voltmeter:
            return math.log(luminance + self.model.voltmeter.k2)
        below = self.model.linear_below
        if luminance < below:
            return luminance / below
        return math.log(luminance / below) + 1

    def start(self, luminance, t):
        self.t = t
        self.fed = self.filtered = self.reference = self.respond(luminance)
        self.head = self.noise = 0.0
        first = self.draw()
        if self.model.random_phase and self.on < math.inf:
            self.head = first * (self.on + self.off) - self.off
        self.hazard = -math.log(self.draw())
        self.ready = t

    def noise_rates(self, luminance):
        """Rate of random events, steady drift and strength of the walk, per us."""
        shade = min(1.0, luminance / 255)
        volt = self.model.voltmeter
        if volt is None:
            shot = self.model.shot_hz * 1e-6 * (1 - 0.75 * shade)
            return shot + self.hot, self.leak, 0.0
        drift = (volt.k4 + volt.k5 * luminance) / volt.k1
        walk = (volt.k3 * math.sqrt(luminance) / (luminance + volt.k2) + volt.k6) / volt.k1
        return self.hot, drift, walk

    def step(self, luminance, t1):
        """Go on to the next picture at ``t1``."""
        if self.on == math.inf:
            self.t = t1
            return
        t0, dt = self.t, t1 - self.t
        fed = self.respond(luminance)
        filtered = fed
        if self.model.cutoff_hz:
            shade = min(1.0, luminance / 255)
            rate = 2 * math.pi * self.model.cutoff_hz * 1e-6 * (0.1 + 0.9 * shade) * dt
            lag = (fed - self.fed) / rate
            filtered = fed - lag + (self.filtered - self.fed + lag) * math.exp(-rate)
        fire, drift, walk = self.noise_rates(luminance)
        grown = drift * dt
        if walk:
            grown += walk * math.sqrt(dt) * normal(self.seed, self.number, self.draws)
            self.draws += 2

        def signal_at(t):
            return self.filtered + (filtered - self.filtered) * (t - t0) / dt

        def noise_at(t):
            return grown * (t - t0) / dt

        # Noise counts from the last reset; before this step it had reached self.noise.
        noise_origin = -self.noise
        t = t0
        while True:
            if self.ready > t:
                if self.ready >= t1:
                    break
                t = self.ready
                self.reference, noise_origin = signal_at(t), noise_at(t)
            change = signal_at(t) - self.reference + self.head + noise_at(t) - noise_origin
            slope = (filtered - self.filtered + grown) / dt
            crossing = math.inf
            if slope > 0:
                crossing = t + max(0.0, (self.on - change) / slope)
            if slope < 0:
                crossing = t + max(0.0, (-self.off - change) / slope)
            random = t + self.hazard / fire if fire else math.inf
            when = min(crossing, random)
            if when > t1:
                self.hazard -= fire * (t1 - t)
                break
            self.hazard -= fire * (when - t)
            if random < crossing:
                polarity, signal = int(self.draw() < 0.5), False
                self.hazard = -math.log(self.draw())
            else:
                polarity = int(slope > 0)
                sign = 1 if polarity else -1
                moved = signal_at(when) - self.reference
                stray = noise_at(when) - noise_origin
                signal = sign * moved >= sign * stray
            self.events.append((math.ceil(when), polarity, signal))
            t = when
            self.ready = when + self.model.refractory_us
            self.reference, noise_origin, self.head = signal_at(when), noise_at(when), 0.0
        self.noise = noise_at(t1) - noise_origin
        self.fed, self.filtered, self.t = fed, filtered, t1
