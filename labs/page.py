"""What every page of HTML here has in common: one self-contained file, in the reader's light or dark.

What a page shows comes in part from submissions, so all of it goes through `text`. The page's policy, too, lets nothing
run but its own script, and nothing be fetched.
"""

import base64
import hashlib
import html
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: light-dark(#1d2530, #e4e7eb); --paper: light-dark(#fdfdfb, #16191d);
  --faint: light-dark(#d9dce0, #3a414a); --soft: light-dark(#5b6673, #a3adb8); }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 1.5rem; }
"""


def document(title: str, body: str, style: str = "", script: str = "") -> str:
    """The whole page. `body` is HTML, the title is text."""
    allowed = f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" if script else "'none'"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}{style}</style></head><body>{body}"
        + (f"<script>{script}</script>" if script else "")
        + "</body></html>\n"
    )


def text(value: object, lines: bool = False) -> str:
    """Text for a page, also within double quotes. What has no picture is written as `\\x1b`; lines may stay lines."""
    kept = "\n\t" if lines else ""
    return html.escape(
        "".join(each if each.isprintable() or each in kept else f"\\x{ord(each):02x}" for each in str(value))
    )
