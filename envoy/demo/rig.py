"""Starts the demo's application and Envoy, listens to both, and ends them.

Nothing outlives the demo: each child is ended in order when the demo ends, and
by the kernel when the demo is killed. No port is guessed: Envoy and the
application take free ones and say which.
"""

import asyncio
import contextlib
import ctypes
import http.client
import json
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
# As the Makefile says, or as a checkout has them after `make wasm envoy`.
FILTER = os.environ.get("WSGUARD_WASM") or str(PROJECT / "dist/wsguard.wasm")
ENVOY = os.environ.get("ENVOY") or str(PROJECT / ".tools/envoy-1.40.0/envoy")
READY_WITHIN_S = 120
END_WITHIN_S = 3
# Longest log line that is read whole: an event holds headers of a client's.
LINE_LIMIT = 1 << 20
PR_SET_PDEATHSIG = 1


class RigError(Exception):
    """The demo could not be set up."""


class Feed:
    """What a child has said so far, to be searched and waited for."""

    def __init__(self):
        self.items = []
        self._news = asyncio.Condition()

    async def add(self, item):
        async with self._news:
            self.items.append(item)
            self._news.notify_all()

    async def first(self, wanted, within_s=120):
        """The first item that is wanted, past or to come; None when it stays out."""
        position = 0

        async def search():
            nonlocal position
            async with self._news:
                while True:
                    for item in self.items[position:]:
                        position += 1
                        if wanted(item):
                            return item
                    await self._news.wait()

        try:
            return await asyncio.wait_for(search(), within_s)
        except asyncio.TimeoutError:
            return None


def die_with_parent(parent):
    """Runs in the child: the kernel ends it when the demo is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


async def start(*command, env=None):
    parent = os.getpid()
    return await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=PROJECT,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
        # A session of its own: Ctrl-C reaches the demo only, which ends it in order.
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(parent),
    )


async def stop(child):
    """Ends a child and whatever it started."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(child.wait(), END_WITHIN_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


async def lines(stream):
    async for line in stream:
        yield line.decode(errors="replace").rstrip("\n")


def get(port, path, headers=()):
    """One plain GET: (status, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read().decode()


class Rig:
    """The running application and Envoy. Use it as an async context."""

    def __init__(self):
        self.secret = secrets.token_urlsafe(48)
        self.api_key = secrets.token_urlsafe(48)
        self.application = Feed()  # what the application wrote down, as dicts
        self.events = Feed()  # wsguard's events: (dict, the line as logged)
        self.access = Feed()  # lines of Envoy's access log
        self.log = []  # everything else that Envoy said
        self.ports = {}  # by the listener's name, `edge` or `stream`
        self.admin_port = None
        self._ends = contextlib.AsyncExitStack()

    async def __aenter__(self):
        try:
            folder = self._ends.enter_context(tempfile.TemporaryDirectory(prefix="wsguard-demo-"))
            await self._start_application()
            await self._start_envoy(Path(folder))
        except BaseException:
            await self._ends.aclose()
            raise
        return self

    async def __aexit__(self, *_):
        await self._ends.aclose()

    async def died(self):
        """Returns when a child has ended by itself, with its name."""
        waits = {
            asyncio.ensure_future(self.envoy.wait()): "Envoy",
            asyncio.ensure_future(self.app.wait()): "the application",
        }
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[done.pop()]
        finally:
            for wait in waits:
                wait.cancel()

    def _listen(self, coroutine):
        task = asyncio.create_task(coroutine)
        self._ends.callback(task.cancel)

    async def _start_application(self):
        self.app = await start(sys.executable, Path(__file__).with_name("upstream.py"), 0)
        self._ends.push_async_callback(stop, self.app)
        self._listen(self._hear_application())
        self._listen(self._hear_errors(self.app.stderr))
        listening = await self.application.first(lambda r: r["event"] == "listening", READY_WITHIN_S)
        if listening is None:
            raise RigError("the application did not start\n" + "\n".join(self.log))
        self.application_port = listening["port"]

    async def _start_envoy(self, folder):
        config, admin_address = folder / "envoy.yaml", folder / "admin"
        config.write_text(self._config())
        self.envoy = await start(
            ENVOY, "-c", config, "--admin-address-path", admin_address,
            "--concurrency", "2", "--disable-hot-restart",
            "--log-level", "warning", "--component-log-level", "wasm:info",
            env=os.environ | {"WSGUARD_DEMO_SECRET": self.secret, "WSGUARD_DEMO_KEY": self.api_key},
        )  # fmt: skip
        self._ends.push_async_callback(stop, self.envoy)
        self._listen(self._hear_errors(self.envoy.stderr))
        self._listen(self._hear_access_log())
        try:
            await asyncio.wait_for(self._envoy_ready(admin_address), READY_WITHIN_S)
        except asyncio.TimeoutError:
            raise RigError("Envoy was not ready in time\n" + "\n".join(self.log)) from None

    def _config(self):
        """envoy/demo.yaml, with this run's ports and filter."""
        text = (PROJECT / "envoy/demo.yaml").read_text()
        for old, new in (
            ("port_value: 9901", "port_value: 0"),
            ("port_value: 10000", "port_value: 0"),
            ("port_value: 10001", "port_value: 0"),
            ("port_value: 8765", f"port_value: {self.application_port}"),
            ("{filename: dist/wsguard.wasm}", json.dumps({"filename": FILTER})),
        ):
            if text.count(old) != 1:
                raise RigError(f"envoy/demo.yaml should name `{old}` once")
            text = text.replace(old, new)
        return text

    async def _envoy_ready(self, admin_address):
        while True:
            if self.envoy.returncode is not None:
                # What it said last may still be on its way here.
                await asyncio.sleep(0.2)
                raise RigError("Envoy did not start\n" + "\n".join(self.log))
            with contextlib.suppress(OSError, ValueError):
                self.admin_port = int(admin_address.read_text().rpartition(":")[2])
                status, _ = await asyncio.to_thread(get, self.admin_port, "/ready")
                if status == 200:
                    break
            await asyncio.sleep(0.05)
        _, body = await asyncio.to_thread(get, self.admin_port, "/listeners?format=json")
        for listener in json.loads(body)["listener_statuses"]:
            port = listener["local_address"]["socket_address"]["port_value"]
            self.ports[listener["name"]] = port

    async def _hear_application(self):
        async for line in lines(self.app.stdout):
            await self.application.add(json.loads(line))

    async def _hear_access_log(self):
        async for line in lines(self.envoy.stdout):
            await self.access.add(line)

    async def _hear_errors(self, stream):
        async for line in lines(stream):
            _, found, event = line.partition(" wsguard {")
            if found:
                event = "{" + event
                await self.events.add((json.loads(event), event))
            else:
                self.log.append(line)
