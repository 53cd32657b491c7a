"""A headless Chromium for tests: opens a page in frames of given widths and tells what a reader would meet."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",
    "--virtual-time-budget=20000",
    "--dump-dom",
)

# A frame has exactly the width it is given, which a headless window has not. Printing draws every figure, in view or not.
_FRAMES = """<!doctype html><meta charset="utf-8"><body><pre id="measured"></pre>
<script>
const measured = [];
function measure(frame) {
  const inside = frame.contentWindow, page = frame.contentDocument;
  inside.dispatchEvent(new Event("beforeprint"));
  inside.dispatchEvent(new Event("afterprint"));
  const text = (selector) => [...page.querySelectorAll(selector)].map((node) => node.textContent.replace(/\\u00a0/g, " "));
  measured.push({
    width: inside.innerWidth,
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    plots: page.querySelectorAll(".plot").length,
    drawn: [...page.querySelectorAll(".plot")].filter((node) => node.querySelector(".main-svg path")).length,
    wider: [...page.querySelectorAll(".plot")].filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.id),
    headlines: text(".verdict h2"), words: text(".verdict .what strong"), quotes: text(".quote"), title: page.title,
    bands: [...page.querySelectorAll(".strip .band")].map((node) => node.getBoundingClientRect().width),
    scripts: page.querySelectorAll("script").length, images: page.querySelectorAll("img, iframe, object").length,
    pwned: Boolean(inside.pwned), loaded: inside.performance.getEntriesByType("resource").map((entry) => entry.name),
    legend: legend(page),
  });
  document.getElementById("measured").textContent = JSON.stringify(measured);
  frame.remove();
}
function legend(page) {
  const button = page.querySelector("button[data-arm='retrain']");
  if (!button) return [];
  const shown = () => [...page.querySelectorAll(".plot")].flatMap((node) => node.data || [])
    .filter((trace) => trace.legendgroup === "retrain" && trace.visible).length;
  const before = shown();
  button.click();
  return [before, shown(), button.getAttribute("aria-pressed")];
}
for (const width of WIDTHS) {
  const frame = document.createElement("iframe");
  frame.style = `border: 0; width: ${width}px; height: 2000px`;
  frame.onload = () => setTimeout(() => measure(frame), 3000);
  frame.src = "PAGE";
  document.body.append(frame);
}
</script>"""


def look(page: Path, *widths: int) -> list[dict[str, Any]]:
    """What the page is at these widths in pixels, in rising order of width."""
    assert CHROMIUM is not None
    frames = page.with_name("frames.html")
    frames.write_text(_FRAMES.replace("WIDTHS", str(list(widths))).replace("PAGE", page.name))
    command = [CHROMIUM, *_FLAGS, f"--user-data-dir={page.with_name('profile')}", frames.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'<pre id="measured">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, f"Chromium measured nothing: {done.stdout[:500]} {done.stderr[-500:]}"
    return sorted(json.loads(unescape(found[1])), key=lambda measured: int(measured["width"]))
