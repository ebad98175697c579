"""A headless Chromium, driven through its remote debugging pipe: JSON messages that end in a NUL,
ours on its descriptor 3, its own on descriptor 4. Enough of the protocol to open a page of a file,
to look at it as a phone or in the dark does, and to run a line of script in it."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from common import PATIENCE, WORK

PROGRAM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome",
                                              "chrome-headless-shell")) if p), None)


class Chromium:
    def __init__(self):
        assert PROGRAM, "chromium is needed: scripts/setup.sh --test installs it"
        profile = tempfile.mkdtemp(dir=WORK)
        commands, self.write = os.pipe()
        self.read, answers = os.pipe()

        def place_pipes():
            # above 4 first, so that neither is overwritten by the other
            a, b = os.dup(commands), os.dup(answers)
            high = [os.dup2(fd, 50 + i) for i, fd in enumerate((a, b))]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
        self.process = subprocess.Popen(
            [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=place_pipes, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(commands)
        os.close(answers)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(domain + ".enable")

    def message(self):
        until = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            left = until - time.monotonic()
            assert left > 0 and select.select([self.read], [], [], left)[0], "chromium is silent"
            got = os.read(self.read, 1 << 20)
            assert got, f"chromium ended: {self.process.wait()}"
            self.buffer += got
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def ask(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self.write, data):]
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def open(self, url, width, height, phone=False, dark=False):
        """Shows a page; what came before is forgotten."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.ask("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.events.clear()
        self.ask("Page.navigate", url=url)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.message())

    def run(self, script):
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True,
                          awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def complaints(self):
        """What the page's console and scripts had to say."""
        found = []
        for e in self.events:
            method, params = e.get("method"), e.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description"))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                found.append(str(params["args"]))
        return found

    def requests(self):
        return [e["params"]["request"]["url"] for e in self.events
                if e.get("method") == "Network.requestWillBeSent"]

    def screenshot(self, path):
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 12000),
                "scale": 1}
        data = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def end(self):
        self.process.kill()
        self.process.wait()
        os.close(self.read)
        os.close(self.write)
