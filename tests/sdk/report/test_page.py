from __future__ import annotations

import re
from html.parser import HTMLParser

from archloom.report import Outcome, render_page

_VOID = {"meta", "br", "hr", "img", "link", "input"}


class _Balance(HTMLParser):
    """Fails on a tag that is not closed in turn; keeps names, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: str) -> _Balance:
    parser = _Balance()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_page_is_whole_and_balanced(outcome: Outcome) -> None:
    parser = parsed(render_page(outcome))
    text = " ".join(" ".join(parser.text).split())
    assert [tag for tag, _ in parser.tags].count("svg") == 4
    assert "0.9710" in text
    assert "95% interval 0.9587 to 0.9797" in text
    assert "Not shown to be better than random search" in text
    assert "tied with it" in text
    assert "What must not be concluded" in text


def test_names_of_users_are_escaped_and_nothing_runs_or_is_loaded(outcome: Outcome) -> None:
    page = render_page(outcome)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for _tag, attributes in parsed(page).tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert not {"src", "href", "xlink:href"} & attributes.keys()
    assert not re.search(r"url\(|@import", page)


def test_every_figure_says_what_it_shows(outcome: Outcome) -> None:
    page = render_page(outcome)
    figures = re.findall(r"<svg[^>]*>(.{0,800})", page, re.DOTALL)
    assert len(figures) == 4
    for start in figures:
        assert re.match(r"\s*<title>[^<]+</title>\s*<desc>[^<]+</desc>", start)
