"""The camera's pose over time: a drive with slow yaw, pitch shake and changing speed.

World axes are X right, Y up, Z along the street, in metres. Camera axes are x right, y up, z
toward the scene. Every degree of freedom is a linear term and a few sines, so pose, velocity and
acceleration are exact at any time and nothing has to be integrated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Wave = tuple[float, float, float]
"""Amplitude, angular frequency in rad/s and phase in rad of one sine."""

GRAVITY = 9.80665


class Pose(NamedTuple):
    """Position, rotation and motion of the camera at one instant.

    position, velocity : float64 (3,), metres and m/s in world axes.
    rotation : float64 (3, 3), columns are the camera's axes in world axes.
    spin : float64 (3, 3), ``dR/dt^T R``: rotation of a fixed direction in camera axes, rad/s.
    focal : focal length in pixels.
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    velocity: NDArray[np.float64]
    spin: NDArray[np.float64]
    focal: float


@dataclass(frozen=True)
class CameraPath:
    """A drive along +Z.

    ``speed`` is the mean in m/s; ``z``, ``x``, ``y``, ``yaw``, ``pitch`` and ``roll`` hold the
    sines on top of it (metres, radians; yaw to the right, pitch up, roll clockwise). ``tilt`` is
    the pitch at which the camera is mounted.
    """

    focal: float
    speed: float
    lane_x: float
    height: float
    tilt: float = 0.0
    z: tuple[Wave, ...] = ()
    x: tuple[Wave, ...] = ()
    y: tuple[Wave, ...] = ()
    yaw: tuple[Wave, ...] = ()
    pitch: tuple[Wave, ...] = ()
    roll: tuple[Wave, ...] = ()

    def pose(self, t_us: float) -> Pose:
        """Return the pose at a time in microseconds since the drive began."""
        t = t_us * 1e-6
        rotation = self._rotation(t)
        h = 1e-5
        turning = (self._rotation(t + h) - self._rotation(t - h)) / (2 * h)
        return Pose(
            np.array(
                [
                    self.lane_x + sines(self.x, t, 0),
                    self.height + sines(self.y, t, 0),
                    self.speed * t + sines(self.z, t, 0),
                ]
            ),
            rotation,
            np.array([sines(self.x, t, 1), sines(self.y, t, 1), self.speed_at(t_us)]),
            np.ascontiguousarray(turning.T @ rotation),
            self.focal,
        )

    def speed_at(self, t_us: float) -> float:
        """Return the forward speed in m/s."""
        return self.speed + sines(self.z, t_us * 1e-6, 1)

    def steering_deg(self, t_us: float) -> float:
        """Return a steering wheel angle that fits the yaw rate (bicycle model, ratio 15)."""
        rate = sines(self.yaw, t_us * 1e-6, 1)
        wheel = math.atan(2.65 * rate / max(2.0, self.speed_at(t_us)))
        return 15.0 * math.degrees(wheel)

    def imu(self, t_us: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return specific force in g and turn rate in deg/s, both (3,) in camera axes.

        At rest the force is +1 g along y (up). Turn rates follow the right hand about each axis:
        pitching up, turning left and rolling clockwise are positive.
        """
        t = t_us * 1e-6
        pose = self.pose(t_us)
        force = np.array([sines(self.x, t, 2), sines(self.y, t, 2) + GRAVITY, sines(self.z, t, 2)])
        spin = pose.spin
        rate = np.array([spin[2, 1], spin[0, 2], spin[1, 0]])
        return pose.rotation.T @ force / GRAVITY, np.degrees(rate)

    def _rotation(self, t: float) -> NDArray[np.float64]:
        yaw, pitch, roll = (sines(waves, t, 0) for waves in (self.yaw, self.pitch, self.roll))
        pitch += self.tilt
        cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        cr, sr = math.cos(roll), math.sin(roll)
        turn = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
        tilt = np.array([[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]])
        bank = np.array([[cr, sr, 0.0], [-sr, cr, 0.0], [0.0, 0.0, 1.0]])
        rotation: NDArray[np.float64] = turn @ tilt @ bank
        return rotation


def sines(waves: tuple[Wave, ...], t: float, derivative: int) -> float:
    """Return the sum of sines or its first or second derivative at ``t`` seconds."""
    quarter = derivative * 0.5 * math.pi
    return sum(a * w**derivative * math.sin(w * t + p + quarter) for a, w, p in waves)


def drive(
    seed: int, *, focal: float, speed: float | None, yaw_deg: float, yaw_hz: float
) -> CameraPath:
    """Return a drive from a seed.

    Parameters
    ----------
    seed : int
        Seed of the world.
    focal : float
        Focal length in pixels.
    speed : float or None
        Mean speed in m/s; None draws one between 6 and 14. At 0 the camera stands still.
    yaw_deg, yaw_hz : float
        Amplitude and frequency of the slow yaw.
    """
    rng = np.random.default_rng([seed, 1])
    drawn = float(rng.uniform(7.5, 12.5))
    mean = drawn if speed is None else speed

    def wave(amplitude: float, hz: float) -> Wave:
        return amplitude, 2 * math.pi * hz, float(rng.uniform(0, 2 * math.pi))

    moving = min(1.0, mean / 6.0)
    # 12 % of the mean speed either way, slowly: 6 to 14 m/s over all seeds.
    ease = wave(1.0, 0.11)
    z = (0.12 * mean / ease[1], ease[1], ease[2])
    shake = math.radians(1.0) * moving
    return CameraPath(
        focal=focal,
        speed=mean,
        lane_x=1.75,
        height=1.35,
        z=(z,),
        x=(wave(0.12 * moving, 0.17),),
        y=(wave(0.012 * moving, 1.6), wave(0.003 * moving, 9.0)),
        yaw=(wave(math.radians(yaw_deg), yaw_hz), wave(0.05 * shake, 3.1)),
        pitch=(wave(0.35 * shake, 1.3), wave(0.12 * shake, 3.7), wave(0.03 * shake, 11.0)),
        roll=(wave(0.3 * shake, 0.9),),
    )


def mounted(
    path: CameraPath, seed: int, *, height: float, tilt: float, vibration: float
) -> CameraPath:
    """Return a drive with its camera mounted elsewhere and shaken by the engine and the road.

    Parameters
    ----------
    path : CameraPath
    seed : int
        Seed of the world.
    height, tilt : float
        Height above the road in metres and pitch in radians, up.
    vibration : float
        Root mean square of the angle of the vibration in radians, at the mean speed; an eighth of
        it remains at a standstill, when the engine idles.
    """
    rng = np.random.default_rng([seed, 8])
    moving = min(1.0, path.speed / 6.0)
    strength = vibration * (0.125 + 0.875 * moving)

    # Shaking comes in bursts as the wheels meet bumps: all axes share the envelope
    # ((1 + cos) / 2)^2, which multiplies a sine into five.
    swell, offset = 2.0 * math.pi * rng.uniform(1.2, 2.8), rng.uniform(0.0, 2.0 * math.pi)
    parts = {-2: 0.0625, -1: 0.25, 0: 0.375, 1: 0.25, 2: 0.0625}
    envelope_rms = math.sqrt(0.375**2 + 0.5 * 0.5**2 + 0.5 * 0.125**2)

    def shaken(share: float, *, count: int) -> tuple[Wave, ...]:
        waves: list[Wave] = []
        for _ in range(count):
            amplitude = share * strength * math.sqrt(2.0 / count) / envelope_rms
            rate = 2.0 * math.pi * rng.uniform(11.0, 24.0)
            phase = rng.uniform(0.0, 2.0 * math.pi)
            waves += [
                (amplitude * size, float(rate + k * swell), float(phase + k * offset))
                for k, size in parts.items()
            ]
        return tuple(waves)

    return replace(
        path,
        height=height,
        tilt=tilt,
        pitch=path.pitch + shaken(0.8, count=3),
        yaw=path.yaw + shaken(0.5, count=2),
        roll=path.roll + shaken(0.35, count=2),
    )
