"""The visitor notes whatever goes wrong on a page, so no other test needs to look for it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Route

from tests.web.conftest import OPTIONS, ORIGIN, Visitor

PAGE = '<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1><p>This is {}</p></main>'
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'"


@pytest.fixture(scope="module")
def context(browser: Browser) -> BrowserContext:
    """A context whose first tab has a page that no server serves."""
    context = browser.new_context(**OPTIONS)
    context.route("**", answer)
    context.new_page().goto(ORIGIN)
    return context


@pytest.fixture
def visitor(context: BrowserContext) -> Visitor:
    """A visitor of such a page."""
    context.route("**", answer)
    return Visitor(context, ORIGIN, stays=True)


def answer(route: Route) -> None:
    """Answer in place of a server."""
    path = route.request.url.removeprefix(ORIGIN)
    if path == "/refused":
        route.abort("connectionrefused")
    else:
        headers = {"content-type": "text/html", "content-security-policy": POLICY}
        route.fulfill(status=404 if path == "/missing" else 200, headers=headers, body=PAGE.format(path))


WRONG = {
    "console: .*inline style": "() => document.querySelector('p').setAttribute('style', 'color: red')",
    "console: .*inline script": """() => {
      const code = document.createElement('script');
      code.textContent = '1';
      document.body.append(code);
    }""",
    "console: .*connect-src": "() => fetch('http://127.0.0.1:10/').catch(() => {})",
    "console: broken": "() => console.error('broken')",
    "console: odd": "() => console.warn('odd')",
    "error: .*thrown": "() => { setTimeout(() => { throw new Error('thrown') }) }",
    "error: .*rejected": "() => { Promise.reject(new Error('rejected')) }",
    "response: 404 .*/missing": "() => fetch('/missing')",
    "request: GET .*/refused": "() => fetch('/refused').catch(() => {})",
}


def test_problems_of_a_page_are_noted(visitor: Visitor):
    """Violations of the policy, errors and failed requests fail the test that does not announce them."""
    page = visitor.open()
    for script in WRONG.values():
        page.evaluate(script)
    with pytest.raises(AssertionError) as failure:
        visitor.leave()
    assert [problem for problem in WRONG if not re.search(problem, str(failure.value))] == []


def test_announced_problems_must_occur(visitor: Visitor):
    """An announcement that is not needed would hide a problem."""
    page = visitor.open()
    visitor.announce("404 .*/missing", "404 .*/other")
    page.evaluate("() => fetch('/missing')")
    with pytest.raises(AssertionError, match=r"did not occur: \['404 \.\*/other'\]"):
        visitor.leave()


@pytest.mark.parametrize(("colour", "scheme"), [("#999", "light"), ("light-dark(#222, #444)", "dark")])
def test_unreadable_text_is_noted(visitor: Visitor, colour, scheme):
    """Both colour schemes are checked."""
    page = visitor.open()
    page.evaluate(
        """(colour) => {
          document.documentElement.style.colorScheme = 'light dark';
          document.documentElement.style.background = 'light-dark(#fff, #000)';
          document.querySelector('h1').style.color = 'light-dark(#000, #fff)';
          document.querySelector('p').style.color = colour;
        }""",
        colour,
    )
    visitor.audit(page)
    with pytest.raises(AssertionError, match=f"axe, {scheme}: color-contrast"):
        visitor.leave()


def test_motion_is_noted(visitor: Visitor):
    """Whoever asks for less motion sees none."""
    page = visitor.open()
    page.evaluate("() => { document.querySelector('h1').style.transition = 'all 1s' }")
    visitor.audit(page)
    with pytest.raises(AssertionError, match="moves: <h1"):
        visitor.leave()


@pytest.mark.parametrize("change", ["p.textContent = name", "p.title = name", "document.title = name"])
def test_a_deceptive_text_is_noted(visitor: Visitor, change):
    """A name that the browser would show as another one."""
    page = visitor.open()
    page.evaluate(f"(name) => {{ const p = document.querySelector('p'); {change}; }}", "\u202egpj.exe")
    visitor.audit(page)
    with pytest.raises(AssertionError, match="deceives: \u202egpj"):
        visitor.leave()


def test_motion_ends_with_its_test(visitor: Visitor, context: BrowserContext):
    """The tab that stays prefers less motion again, else no later test would notice any."""
    visitor.open().emulate_media(reduced_motion="no-preference")
    visitor.leave()
    context.route("**", answer)
    page = Visitor(context, ORIGIN, stays=True).open()
    assert page.evaluate("() => matchMedia('(prefers-reduced-motion: reduce)').matches")


def test_an_aborted_request_is_no_problem(visitor: Visitor):
    """A page may end its own requests."""
    page = visitor.open()
    page.evaluate("() => fetch('/', { signal: AbortSignal.abort() }).catch(() => {})")
    visitor.leave()
