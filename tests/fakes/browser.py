"""A real Chromium without a window, told what to do over its DevTools pipe."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.fakes.waiting import until

PROGRAM = "chromium"
_FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--autoplay-policy=no-user-gesture-required",
    "--hide-scrollbars", "--disable-dev-shm-usage",
)  # fmt: skip

_AS_3_AND_4 = """import os, sys
ends = [os.dup(int(each)) for each in sys.argv[1:3]]
ends = [os.dup2(each, 100 + each) for each in ends]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])"""
"""Where the browser expects its pipe; a shell cannot name all descriptors."""


class Browser:
    """One browser with one page. A context manager; nothing of it is left behind."""

    def __init__(self, width: int = 1000, height: int = 1200, *flags: str) -> None:
        self._flags = [f"--window-size={width},{height}", *flags]
        self._profile = tempfile.mkdtemp(prefix="browser-")
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._session = ""
        self.errors: list[str] = []
        """What the page logged as an error, and what it threw."""

    def __enter__(self) -> "Browser":
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        words = [PROGRAM, *_FLAGS, *self._flags, f"--user-data-dir={self._profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", _AS_3_AND_4, str(theirs_in), str(theirs_out), *words],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self._reader = threading.Thread(target=self._read, name="browser", daemon=True)
        self._reader.start()
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _attach(self) -> None:
        targets = self.ask("Target.getTargets", in_page=False)["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self.ask("Target.attachToTarget", in_page=False, targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "DOM"):
            self.ask(f"{domain}.enable")

    def __exit__(self, *_: object) -> None:
        try:
            if self._process.poll() is None:
                self.ask("Browser.close", in_page=False)
                self._process.wait(10)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # its helpers as well, which write into the profile
            self._process.wait(10)
            with suppress(BrokenPipeError):
                self._out.close()
            self._reader.join(10)
            self._in.close()
            shutil.rmtree(self._profile, ignore_errors=True)

    def ask(self, method: str, *, in_page: bool = True, timeout_s: float = 60, **params: Any) -> dict[str, Any]:
        """One DevTools command; its result."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if in_page:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        until(lambda: number in self._answers or not self._reader.is_alive(), timeout_s, f"the answer to {method}")
        answer = self._answers.pop(number, {"error": "the browser has ended"})
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, address: str) -> None:
        """Go to a page and wait until it is there."""
        self.ask("Page.navigate", url=address)
        until(lambda: self.value("document.readyState") == "complete", 30, f"{address} is loaded")

    def value(self, expression: str) -> Any:
        """What an expression gives in the page; waits for a promise."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def choose(self, selector: str, paths: list[Path]) -> None:
        """Choose files in an <input type=file>; one folder for one that takes folders."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def drop(self, selector: str, paths: list[Path]) -> None:
        """Drag files or folders from outside onto an element, and let go."""
        place = self.value(
            f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect())"
        )
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.ask("Input.dispatchDragEvent", type=kind, x=place[0], y=place[1], data=data)

    def picture(self, path: Path | None = None, *, whole: bool = False) -> bytes:
        """The page as a PNG, also written to `path`; the `whole` of it, or what fits into the window."""
        data = base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
        if path is not None:
            path.write_bytes(data)
        return data

    def _read(self) -> None:
        kept = b""
        while data := os.read(self._in.fileno(), 1 << 16):
            *messages, kept = (kept + data).split(b"\0")
            for text in messages:
                message = json.loads(text)
                if "id" in message:
                    self._answers[message["id"]] = message
                elif message["method"] == "Runtime.exceptionThrown":
                    details = message["params"]["exceptionDetails"]
                    self.errors.append(str(details.get("exception", details).get("description", details)))
                elif message["method"] == "Runtime.consoleAPICalled" and message["params"]["type"] == "error":
                    self.errors.append(json.dumps(message["params"]["args"]))
