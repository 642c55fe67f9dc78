"""Opens pages in a real Chromium, as its own developer tools do, over a pipe: nothing but Python is needed.

    with Browser(folder) as browser:
        page = browser.open(url, width=390, scheme="dark")
        page.html, page.complaints, page.overflow
        page.screenshot(path)
"""

import base64
import json
import os
import subprocess

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking",
         "--no-first-run", "--disable-extensions", "--remote-debugging-pipe"]
PATIENCE_SECONDS = 60


class Browser:
    def __init__(self, folder):
        to_browser, self.to = os.pipe()
        self.answers, from_browser = os.pipe()

        def hand_over():
            # Chromium reads from descriptor 3 and writes to 4. The pair may itself lie on these numbers.
            reading, writing = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self.process = subprocess.Popen(
            ["chromium", *FLAGS, f"--user-data-dir={folder}", "about:blank"], preexec_fn=hand_over, close_fds=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.rest = b""
        self.number = 0
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It writes to its folder until it has ended by itself.
        self.call("Browser.close")
        self.process.wait(PATIENCE_SECONDS)

    def read(self):
        while b"\0" not in self.rest:
            part = os.read(self.answers, 1 << 20)
            if not part:
                raise RuntimeError("Chromium has ended")
            self.rest += part
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, session, method):
        while True:
            for event in self.events:
                if event.get("sessionId") == session and event.get("method") == method:
                    return event
            self.events.append(self.read())

    def open(self, url, width=1200, height=900, scheme="light", scripts=True, scale=1):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable", session)
        self.call("Emulation.setDeviceMetricsOverride", session, width=width, height=height, deviceScaleFactor=scale,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", session, features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", session, value=not scripts)
        self.call("Page.navigate", session, url=url)
        self.wait(session, "Page.loadEventFired")
        return Page(self, session, target)


class Page:
    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target

    def evaluate(self, expression):
        result = self.browser.call("Runtime.evaluate", self.session, expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    @property
    def html(self):
        return self.evaluate("document.documentElement.outerHTML")

    @property
    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    @property
    def complaints(self):
        """Everything on the console: errors, refusals of the Content-Security-Policy, files that did not come."""
        self.evaluate("0")
        told = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            parameters = event.get("params", {})
            if event["method"] == "Log.entryAdded":
                told.append(parameters["entry"]["text"])
            if event["method"] == "Runtime.consoleAPICalled":
                told.append(json.dumps(parameters["args"]))
            if event["method"] == "Runtime.exceptionThrown":
                told.append(json.dumps(parameters["exceptionDetails"]))
            if event["method"] == "Network.loadingFailed":
                told.append(f"not loaded: {parameters.get('errorText')} {parameters.get('blockedReason', '')}")
        return told

    def requests(self):
        return [event["params"]["request"]["url"] for event in self.browser.events
                if event.get("sessionId") == self.session and event.get("method") == "Network.requestWillBeSent"]

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
        self.browser.events = [event for event in self.browser.events if event.get("sessionId") != self.session]

    def screenshot(self, path, height=None):
        """The whole page, or so much of it from its top; the name's ending is the format: png or webp."""
        clip = self.whole()
        clip["height"] = min(clip["height"], height or clip["height"])
        kind = path.rsplit(".", 1)[-1]
        quality = {"quality": 60} if kind == "webp" else {}
        shot = self.browser.call("Page.captureScreenshot", self.session, format=kind, captureBeyondViewport=True,
                                 clip=clip, **quality)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def whole(self):
        size = self.browser.call("Page.getLayoutMetrics", self.session)["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
