"""The pages of a server, each one file that loads nothing from elsewhere."""

import base64
import hashlib
import html
import pathlib
import re

_FRONT = "front.html"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;"
    "padding:0 1rem;color:#1d2b2a}code{background:#eef3f2;padding:0 .2rem}"
    "td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}"
)


def front() -> tuple[str, str]:
    """The page to drop a video on, and what a browser may do for it.

    Returns:
        The page, and its `Content-Security-Policy`: its own script and style
        alone, and nothing from elsewhere.
    """
    path = pathlib.Path(__file__).with_name(_FRONT)
    text = path.read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    policy = (
        "default-src 'none'; connect-src 'self'; media-src 'self'; "
        f"img-src 'self' data:; script-src '{_digest(script)}'; "
        f"style-src '{_digest(style)}'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return text, policy


def _digest(text):
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def reference(schema) -> str:
    """What may be asked, as a page without a script.

    Args:
        schema: What OpenAPI says of it, a dict.

    Examples:
        >>> from tfdecomp.serving.page import reference
        >>> get = {"get": {"summary": "Whether it runs"}}
        >>> "<code>/healthz</code>" in reference({"paths": {"/healthz": get}})
        True
    """
    parts = [
        _operation(method, path, about)
        for path, methods in schema["paths"].items()
        for method, about in methods.items()
    ]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<title>tfdecomp: what may be asked</title>"
        f"<style>{_STYLE}</style><h1>What may be asked</h1>"
        "<p>The same for programs: <a href='openapi.json'>openapi.json</a>. "
        "To drop a video: <a href='.'>the front page</a>. What cannot be "
        'answered gets a status from 400 on and <code>{"error": "one '
        'sentence"}</code>.</p>' + "".join(parts)
    )


def _operation(method, path, about):
    rows = [
        f"<tr><td><code>{_text(p['name'])}</code><td>{_text(p['in'])}"
        f"<td>{_text(p.get('description', ''))}"
        for p in about.get("parameters", ())
    ]
    kinds = about.get("requestBody", {}).get("content", {})
    body = ", ".join(f"<code>{_text(kind)}</code>" for kind in kinds)
    return (
        f"<h2>{method.upper()} <code>{_text(path)}</code></h2>"
        f"<p>{_text(about.get('summary', ''))}. "
        f"{_text(about.get('description', ''))}</p>"
        + (f"<p>Body: {body}</p>" if body else "")
        + (f"<table>{''.join(rows)}</table>" if rows else "")
    )


def _text(words):
    return html.escape(str(words))
