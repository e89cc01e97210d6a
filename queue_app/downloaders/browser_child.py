"""Opens a page in real Chromium by Playwright and notes what media it fetches; `browser.watch` starts it.

All that Chromium sends goes through the guard proxy: it looks up no names itself, and whatever would go past a proxy
is off. It is a visitor like any other: it clicks on a play button at most, and is not disguised.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from playwright.sync_api import Browser, Error, Playwright, sync_playwright

from archive_site.process_tree import kill_trees
from queue_app.downloaders import child
from queue_app.downloaders.browser_watch import NOTICE_DRM, Watch

_ARGUMENTS = [
    # Of the machine itself too (https://chromium.googlesource.com/chromium/src, net/docs/proxy.md).
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--dns-prefetch-disable",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-gpu",
    "--no-first-run",
    "--no-pings",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
]
# Chromium's words where user namespaces are missing (content/browser/zygote_host/zygote_host_impl_linux.cc,
# sandbox/linux/suid/client/setuid_sandbox_host.cc).
_NO_SANDBOX = ("No usable sandbox!", "SUID sandbox helper binary", "Failed to move to new namespace")


def main() -> None:
    """Answer one request."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    request = child.begin(signal.SIGTERM)
    _end_cleanly(Path(request["folder"]))
    with sync_playwright() as playwright:
        try:
            browser = _launch(playwright, request)
        except Error as error:
            if request["sandbox"] and any(said in str(error) for said in _NO_SANDBOX):
                child.answer({"failure": "no_sandbox"})
                return
            raise
        context = browser.new_context(accept_downloads=False, service_workers="block")
        context.set_default_timeout(5000)
        context.add_init_script(NOTICE_DRM)
        reply = Watch(context).run(request["url"], request["until"])
        child.answer(reply)
        browser.close()


def _launch(playwright: Playwright, request: dict[str, Any]) -> Browser:
    return playwright.chromium.launch(
        executable_path=request["program"],
        chromium_sandbox=request["sandbox"],
        args=_ARGUMENTS,
        proxy={"server": request["server"], "username": request["username"], "password": request["password"]},
        handle_sigint=False,
        handle_sigterm=False,
        handle_sighup=False,
        timeout=15_000,
    )


def _end_cleanly(folder: Path) -> None:
    """When the parent has died, take everything along: Chromium's processes and its profile."""

    def end(_signum: int, _frame: FrameType | None) -> None:
        kill_trees([process.pid for process in psutil.Process().children()])
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    signal.signal(signal.SIGTERM, end)


if __name__ == "__main__":
    main()
