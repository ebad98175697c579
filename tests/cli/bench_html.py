#!/usr/bin/python3
"""The page of trine bench in a browser: light, dark, on a phone. Screenshots are left in
TRINE_BUILD/bench-page-*.png, to be looked at."""
import os
import subprocess

from chromium import Chromium
from common import SLOW, TRINE, WORK, run

BUILD = os.environ.get("TRINE_BUILD", WORK)
SIZES = {"light": (1280, 900, False, False), "dark": (1280, 900, False, True),
         "phone": (390, 844, True, False), "phone-dark": (390, 844, True, True)}
# Of each canvas: its size, how many of its pixels are painted, and in how many colours.
CANVASES = """[...document.querySelectorAll("canvas")].map((c) => {
  const pixels = new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height)
    .data.buffer);
  const painted = pixels.filter((p) => p !== 0);
  return {width: c.clientWidth, height: c.clientHeight, painted: painted.length,
          colours: new Set(painted).size};
})"""
OVERFLOW = """[...document.querySelectorAll("main *, header *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !e.closest(".scroll");
}).map((e) => e.tagName + " " + e.textContent.slice(0, 40))"""
# The least contrast of text with what is behind it, by the formula of WCAG 2.
CONTRAST = """(() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((v) => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (c !== "rgba(0, 0, 0, 0)") return c;
    }
    return "rgb(255, 255, 255)";
  };
  return Math.min(...[...document.querySelectorAll("h1, h2, h3, p, td, th, span, strong, summary")]
    .filter((e) => e.textContent && e.checkVisibility()).map((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    }));
})()"""

page = os.path.join(WORK, "page.html")
seen = {}


def the_page_is_shown_in_each_way():
    subprocess.run([TRINE, "bench", "--quick", "--python", "--rounds", "2", "--html", page,
                    "--only", "io,cpu,mixed,tasks,handover,data,crew", "--concurrency", "10"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   timeout=200 * SLOW)
    browser = Chromium()
    try:
        for name, (width, height, phone, dark) in SIZES.items():
            browser.open("file://" + page, width, height, phone, dark)
            seen[name] = {
                "complaints": browser.complaints(), "requests": browser.requests(),
                "canvases": browser.run(CANVASES), "overflow": browser.run(OVERFLOW),
                "widths": browser.run("[document.documentElement.scrollWidth, innerWidth]"),
                "back": browser.run("getComputedStyle(document.body).backgroundColor"),
                "contrast": browser.run(CONTRAST),
                "text": browser.run("document.body.innerText")}
            browser.screenshot(os.path.join(BUILD, f"bench-page-{name}.png"))
    finally:
        browser.end()


def every_chart_is_drawn():
    for name, look in seen.items():
        assert len(look["canvases"]) == 12, (name, len(look["canvases"]))
        for c in look["canvases"]:
            assert c["width"] > 250 and c["height"] > 200, (name, c)
            assert c["painted"] > 2000 and c["colours"] > 20, (name, c)


def scripts_have_no_complaint_and_nothing_is_loaded():
    for name, look in seen.items():
        assert look["complaints"] == [], (name, look["complaints"])
        assert look["requests"] == ["file://" + page], (name, look["requests"])


def nothing_is_wider_than_the_screen():
    for name, look in seen.items():
        assert look["widths"][0] <= look["widths"][1] == SIZES[name][0], (name, look["widths"])
        assert look["overflow"] == [], (name, look["overflow"])


def light_and_dark_differ_and_can_be_read():
    lightness = {n: sum(map(int, v["back"].strip("rgb()").split(","))) for n, v in seen.items()}
    assert lightness["light"] > 600 and lightness["phone"] > 600, lightness
    assert lightness["dark"] < 150 and lightness["phone-dark"] < 150, lightness
    for name, look in seen.items():
        assert look["contrast"] >= 4.5, (name, look["contrast"])


def the_figures_stand_in_words_too():
    for name, look in seen.items():
        for words in ("The models compared", "requests at once", "a task that waits",
                      "CPUs usable"):
            assert words in look["text"], (name, words)


run(the_page_is_shown_in_each_way, every_chart_is_drawn,
    scripts_have_no_complaint_and_nothing_is_loaded, nothing_is_wider_than_the_screen,
    light_and_dark_differ_and_can_be_read, the_figures_stand_in_words_too)
