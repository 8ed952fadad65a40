"""A pytest plugin: make the time zone and the locale of the environment count in this process.

Python leaves LC_NUMERIC and LC_TIME at "C" until a program asks for the user's; one that embeds
objrun may have asked.
"""

from __future__ import annotations

import locale
import os
import time


def pytest_configure() -> None:
    locale.setlocale(locale.LC_ALL, "")
    if not os.environ.get("TZ") or time.timezone == 0:
        message = f"the time zone TZ={os.environ.get('TZ')} is not known here, or is that of UTC"
        raise RuntimeError(message)


def pytest_report_header() -> str:
    return f"elsewhere: {time.tzname[0]}, {locale.setlocale(locale.LC_ALL)}"
