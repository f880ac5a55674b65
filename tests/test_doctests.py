"""The examples in docstrings of public functions and methods, run on a tiny simulated drive."""

from __future__ import annotations

import doctest
import inspect

import pytest

import eventseg

WITHOUT = {
    # An hour of work, a download, or folders of pictures that a test cannot have.
    "run_demo", "load_teacher", "label_dataset", "simulate_images", "compare_runs", "audit",
}  # fmt: skip


def examples() -> dict[str, doctest.DocTest]:
    """Docstrings with examples of every public function, class and method, by name."""
    found: dict[str, doctest.DocTest] = {}
    parser = doctest.DocTestParser()
    for name in sorted(eventseg.__all__):
        value = getattr(eventseg, name)
        things = {name: value}
        if inspect.isclass(value):
            things |= {
                f"{name}.{key}": member
                for key, member in vars(value).items()
                if inspect.isfunction(member) and not key.startswith("_")
            }
        for key, thing in things.items():
            text = inspect.getdoc(thing) or ""
            if ">>>" in text and (inspect.isfunction(thing) or inspect.isclass(thing)):
                found[key] = parser.get_doctest(text, {}, key, None, None)
    return found


EXAMPLES = examples()


def test_every_public_function_shows_an_example():
    functions = {name for name in eventseg.__all__ if inspect.isfunction(getattr(eventseg, name))}
    assert functions - EXAMPLES.keys() == WITHOUT


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, tiny_drive):
    test = EXAMPLES[name]
    test.globs = dict(tiny_drive)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    said: list[str] = []
    runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
