"""Page of the demo: static HTML of its pictures and counts, without scripts or network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.reader import EventDataset
from eventseg.demo.learn import Learnt, learnt_section
from eventseg.demo.pictures import Channel, Moment, Story, Window
from eventseg.demo.style import STYLE
from eventseg.labels.maps import CITYSCAPES_19, EVSEGNET_6, ClassTable

TITLES = {
    "day": "A street by day",
    "night": "The same job at night",
    "crossing": "People cross ahead",
    "fast-turn": "Swinging round a bend",
}
WORDS = {
    "day": "Edges fire, surfaces stay silent: the outlines of houses, kerbs and cars pass through "
    "the picture, while plain road and sky leave hardly a trace.",
    "night": "Little light makes pixels slow and noisy: several times the share of noise that day "
    "has. The frames go dark; what head lamps and street lamps reach still draws its outline.",
    "crossing": "The camera drives slowly while pedestrians step onto the road. They move on "
    "their own, so they fire even where the street hardly does.",
    "fast-turn": "The camera swings to and fro. Every edge sweeps over many pixels, the event "
    "rate rises and falls with the turning, and long windows smear.",
}

READING = """
<dl>
<dt>Frame</dt><dd>What an ordinary camera in the same sensor saw, 25 to 35 times a second.</dd>
<dt>Events over the frame</dt><dd>An event camera reports a pixel only when its brightness changes:
<b style="color:var(--on)">red</b> where it became brighter (ON),
<b style="color:var(--off)">blue</b> where it became darker (OFF).
Shown are the last 50 ms before the frame.</dd>
<dt>Truth</dt><dd>The class of every pixel, exact because the street is simulated: the 19 classes
of Cityscapes, and below merged into the 6 of EV-SegNet. This is what a network learns to
predict from the events alone.</dd>
<dt>Six channels</dt><dd>What such a network is given. For each polarity and pixel: how many events
there were, when they came on average, and how spread their times were. Times are shares of the
window, 0 at its start and 1 at the frame. Light gray: no event (for the spread: fewer than two).
The channels keep the upper rows only, as EV-SegNet cut them: in DDD17 the bonnet is below.
Short windows are sharp but sparse, long ones full but smeared: try the three buttons.</dd>
</dl>
"""


def demo_page(
    stories: Sequence[Story],
    *,
    root: Path,
    dataset: EventDataset,
    learnt: Learnt | None = None,
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    stories : sequence of Story
        The drives in their order.
    root : Path
        Where the page will lie: links are relative to it.
    dataset : EventDataset
        Data set of the drives.
    learnt : Learnt, optional
        Result of the lesson.
    """
    seconds = sum(story.duration_s for story in stories)
    events = sum(story.events for story in stories)
    links = "".join(
        f'<a href="#{escape(story.scenario)}">{escape(_title(story))}</a>' for story in stories
    )
    drives = "\n".join(_drive(story, root=root) for story in stories)
    lesson = learnt_section(learnt, root=root) if learnt else ""
    if learnt:
        links += '<a href="#learnt">What a network made of it</a>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>eventseg demo</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>What an event camera sees of a street</h1>
<p>{len(stories)} simulated drives, {seconds:.0f} seconds, {events / 1e6:.1f} million events, and a
true class for every pixel. They were written as raw recordings and encoded into
{len(dataset):,} samples that a segmentation network can be trained on.</p>
<nav>{links}<a href="#reading">How to read the pictures</a><a href="#next">Go on from here</a></nav>
</header>
<main>
{drives}
{lesson}
<h2 id="reading">How to read the pictures</h2>
{READING}
{_next(stories, root=root, dataset=dataset, learnt=learnt)}
</main>
</body>
</html>
"""


def _drive(story: Story, *, root: Path) -> str:
    rate = story.rate.sum(axis=0)
    facts = {
        "seconds": f"{story.duration_s:.1f}",
        "events": f"{story.events:,}",
        "events a second": f"{story.events / story.duration_s / 1e6:.2f} M",
        "at the busiest": f"{rate.max() / 1e6:.2f} M/s",
        "are noise": f"{story.noise:.0%}",
        "frames": f"{story.frames:,}",
    }
    shown = "".join(f"<li><b>{value}</b>{name}</li>" for name, value in facts.items())
    moments = "\n".join(
        _moment(moment, number, story=story, root=root)
        for number, moment in enumerate(story.moments, start=1)
    )
    film, still = _link(story.film, root), _link(story.still, root)
    return f"""<section id="{escape(story.scenario)}">
<h2>{escape(_title(story))}</h2>
<p>{escape(WORDS.get(story.scenario, ""))}</p>
<figure class="card"><picture><source media="(prefers-reduced-motion: reduce)" srcset="{still}">
<img src="{film}" alt="Film: events over frames, beside the true classes"></picture>
<figcaption>The start of the drive at half speed. Left: events over the frame, <b>red</b> brighter,
<b>blue</b> darker. Right: the true class of every pixel.</figcaption></figure>
<ul class="facts">{shown}</ul>
<div class="card"><h3>Events over time</h3>{_chart(story, rate=rate)}</div>
{moments}
</section>"""


def _chart(story: Story, *, rate: NDArray[np.float64]) -> str:
    """Return stacked areas of ON and OFF events, with a mark at each moment."""
    top = max(1.0, float(rate.max())) * 1.05
    on = _area(np.zeros(len(rate)), story.rate[1], top)
    off = _area(story.rate[1], rate, top)
    marks = "".join(
        f'<span class="mark" style="left:{moment.at_s / story.duration_s:.2%}">{number}</span>'
        for number, moment in enumerate(story.moments, start=1)
    )
    return f"""<div class="rate"><svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img"
aria-label="Event rate over time"><path class="on" d="{on}"/><path class="off" d="{off}"/></svg>
{marks}</div>
<div class="axis"><span>0 s</span><span>peak {rate.max() / 1e6:.2f} million events a second;
<b class="soft">ON red, OFF blue above it</b></span><span>{story.duration_s:.1f} s</span></div>"""


def _area(low: NDArray[np.float64], high: NDArray[np.float64], top: float) -> str:
    """Return the SVG path between two step curves."""
    edges = np.linspace(0.0, 1000.0, len(high) + 1)
    points = [
        (x, 100.0 * (1.0 - level / top))
        for i, level in enumerate(high)
        for x in (edges[i], edges[i + 1])
    ]
    points += [
        (x, 100.0 * (1.0 - low[i] / top))
        for i in reversed(range(len(low)))
        for x in (edges[i + 1], edges[i])
    ]
    return "M" + "L".join(f"{x:.1f} {y:.2f}" for x, y in points) + "Z"


def _moment(moment: Moment, number: int, *, story: Story, root: Path) -> str:
    shown = next((w for w in moment.windows if w.name == "50ms"), moment.windows[-1])
    top = ", ".join(f"{name} {share:.0%}" for name, share in list(moment.classes.items())[:3])
    name = f"{story.scenario}-{number}"
    inputs, panes = "", ""
    for w, window in enumerate(moment.windows):
        checked = " checked" if window is shown else ""
        inputs += (
            f'<input type="radio" name="{name}" id="{name}-{w}"{checked}>'
            f'<label for="{name}-{w}">{escape(_spaced(window.name))}</label>'
        )
        panes += _pane(window, root=root)
    pictures = "".join(
        f'<figure><img src="{_link(path, root)}" alt="{title}" loading="lazy">'
        f"<figcaption><b>{title}</b><br>{words}</figcaption></figure>"
        for path, title, words in (
            (moment.frame, "Frame", "gray values, as recorded"),
            (moment.events, "Events", f"{shown.events:,} in {_spaced(shown.name)}"),
            (moment.truth, "Truth", f"{len(moment.classes)} of 19 classes in view"),
            (moment.merged, "Truth, merged", f"{len(moment.merged_classes)} of 6 classes in view"),
        )
    )
    return f"""<article class="card">
<h3>{number} &middot; {moment.at_s:.2f} s</h3>
<p class="soft">In {_spaced(shown.name)}, {shown.active:.0%} of the pixels fired. Most of the
picture is {escape(top)}.</p>
<div class="four pixels">{pictures}</div>
{_legend(moment.classes, CITYSCAPES_19)}
{_legend(moment.merged_classes, EVSEGNET_6)}
<div class="tabs pixels"><h3>Six channels of the last &hellip;</h3>{inputs}{panes}</div>
</article>"""


def _pane(window: Window, *, root: Path) -> str:
    channels = "".join(_channel(channel, root=root) for channel in window.channels)
    return f"""<div class="pane"><p class="soft">{window.events:,} events,
{window.active:.0%} of the pixels have at least one.</p><div class="six">{channels}</div></div>"""


def _channel(channel: Channel, *, root: Path) -> str:
    low, high = (f"{value:.3g}" for value in channel.limits)
    picture = _link(channel.picture, root)
    return f"""<figure><img src="{picture}" alt="{channel.title}" loading="lazy">
<div class="bar">{low}<img src="{_link(channel.bar, root)}" alt="">{high}</div>
<figcaption><b>{channel.title}</b></figcaption></figure>"""


def _legend(shares: Mapping[str, float], classes: ClassTable) -> str:
    colour = dict(zip(classes.names, classes.colours, strict=True))
    items = "".join(
        f'<li><i style="background:rgb{colour[name]}"></i>{escape(name)} {_share(share)}</li>'
        for name, share in shares.items()
    )
    return f'<ul class="legend">{items}</ul>'


def _next(
    stories: Sequence[Story], *, root: Path, dataset: EventDataset, learnt: Learnt | None
) -> str:
    data, first = _link(dataset.path, root), _link(stories[0].recording, root)
    # Within the first drive, which is short in the quick demo.
    at_s = min(1.0, round(stories[0].duration_s / 2, 2))
    files = "".join(
        f'<li><a href="{_link(story.recording, root)}">{_link(story.recording, root)}</a> and '
        f'<a href="{_link(story.truth, root)}">its truth</a></li>'
        for story in stories
    )
    learning = ""
    if learnt:
        streets, network = _link(learnt.dataset, root), _link(learnt.network, root)
        learning = (
            f"eventseg audit {streets} --labels taught --truth truth\n"
            f"eventseg evaluate {network} {streets} --labels truth\n"
        )
    return f"""<h2 id="next">Go on from here</h2>
<p>All is on disk beside this page. The recordings have the layout of DDD17, so what works here
works on real drives.</p>
<ul>{files}
<li><a href="{data}/manifest.toml">{data}/manifest.toml</a>: how the data set was made</li>
<li><a href="{data}/samples.csv">{data}/samples.csv</a>: its {len(dataset):,} samples</li></ul>
<p>In this folder:</p>
<pre>eventseg info {first}
eventseg info {data}
eventseg check {data} --deep
{learning}eventseg view {first} --at {at_s:g}s --window 10ms
eventseg simulate street mine.hdf5 --duration 5s --seed 42 --scenario glare
eventseg encode mine.hdf5 --window 10ms,50ms,250ms</pre>"""


def _title(story: Story) -> str:
    return TITLES.get(story.scenario, story.scenario.replace("-", " ").capitalize())


def _spaced(window: str) -> str:
    return window.replace("ms", " ms").replace("us", " us")


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "&lt; 1%"


def _link(path: Path, root: Path) -> str:
    return escape(path.relative_to(root).as_posix(), quote=True)
