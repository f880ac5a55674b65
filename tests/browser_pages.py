"""Open pages in a browser without a screen: ``python browser_pages.py FOLDER WIDTH... < pages``.

Prints a line of JSON for each page and width: title, width of its content, pictures that did not
load, what it said in the console. The last line is the addresses that were asked of any host. A
picture of each goes into the folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["QTWEBENGINE_DISABLE_SANDBOX"] = "1"  # a browser of root has none
os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = "--no-sandbox --disable-gpu"

from PyQt6.QtCore import QTimer, QUrl
from PyQt6.QtWebEngineCore import (
    QWebEnginePage,
    QWebEngineProfile,
    QWebEngineUrlRequestInfo,
    QWebEngineUrlRequestInterceptor,
)
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QApplication

HEIGHT, MOST_HEIGHT = 900, 3_000
SETTLE_MS = 700

MEASURE = """
[document.title, document.documentElement.scrollWidth, document.documentElement.scrollHeight,
 innerWidth, [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)]
"""
EAGER = "document.querySelectorAll('img[loading=lazy]').forEach(i => { i.loading = 'eager' })"


class Requests(QWebEngineUrlRequestInterceptor):
    """Addresses that pages ask of other hosts, which get no answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:
        address = info.requestUrl()
        if address.scheme() not in ("file", "data", "blob"):
            self.asked.add(address.toString())
            info.block(True)


class Page(QWebEnginePage):
    """Page that keeps what it says in the console."""

    said: list[str]

    def javaScriptConsoleMessage(self, _level: Any, message: str, _line: int, _source: str) -> None:
        self.said.append(message)


def main(folder: Path, widths: list[int], pages: list[Path]) -> None:
    application = QApplication(["pages"])
    requests, profile = Requests(), QWebEngineProfile()
    profile.setUrlRequestInterceptor(requests)
    view = QWebEngineView()
    page = Page(profile, view)
    view.setPage(page)
    view.show()
    todo = [(path, width) for width in widths for path in pages]

    def load() -> None:
        page.said = []
        view.resize(todo[0][1], HEIGHT)
        view.load(QUrl.fromLocalFile(str(todo[0][0])))

    def loaded(done: bool) -> None:
        if not done:
            print(json.dumps({"page": str(todo[0][0]), "failed": True}), flush=True)
            os._exit(1)
        page.runJavaScript(EAGER)
        QTimer.singleShot(SETTLE_MS, lambda: page.runJavaScript(MEASURE, measured))

    def measured(found: list[Any]) -> None:
        path, width = todo[0]
        names = ("title", "content_px", "height_px", "window_px", "broken")
        line = {"page": str(path), "width": width, **dict(zip(names, found, strict=True))}
        print(json.dumps({**line, "said": page.said}), flush=True)
        view.resize(width, min(int(found[2]), MOST_HEIGHT))
        QTimer.singleShot(SETTLE_MS, grab)

    def grab() -> None:
        path, width = todo.pop(0)
        view.grab().save(str(folder / f"{path.parent.name}-{path.stem}-{width}.png"))
        if todo:
            load()
            return
        print(json.dumps(sorted(requests.asked)), flush=True)
        os._exit(0)  # Qt's order of taking down pages and profiles says much and means nothing

    view.loadFinished.connect(loaded)
    QTimer.singleShot(0, load)
    application.exec()


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        [int(w) for w in sys.argv[2:]],
        [Path(p) for p in sys.stdin.read().split()],
    )
