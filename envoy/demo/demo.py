"""Plays good and bad clients against stock Envoy with wsguard.

    demo.py [--once]

Started by `make demo`, which says in the environment where Envoy (ENVOY) and
the filter (WSGUARD_WASM) are. For each client a line says what was expected and
seen, and below it the event that wsguard logged. Then the address stays up
until Ctrl-C; with --once it ends, with status 1 when anything differed.
"""

import asyncio
import signal
import sys

from cases import CASES, Client
from rig import Rig, RigError


async def play(rig, number, case):
    """Plays one case: (whether all was as expected, what was seen, the event's line)."""
    client = Client(rig, number, case.listener)
    try:
        seen = await case.play(client)
    except Exception as error:  # whatever it is, it is what was seen
        seen = f"{type(error).__name__}: {error}"

    def belongs(event):
        fields, _ = event
        return (fields.get("user_agent"), fields.get("event"), fields.get("reason") or None) == (
            client.agent, case.event, case.reason)  # fmt: skip

    event = await rig.events.first(belongs)
    return seen == case.expected and event is not None, seen, event and event[1]


async def play_all(rig):
    """Plays every case and prints it; answers with how many differed."""
    widths = [max(len(text) for text in column)
              for column in zip(*((case.what, case.expected) for case in CASES))]
    failed = 0
    for number, case in enumerate(CASES, 1):
        good, seen, event = await play(rig, number, case)
        failed += not good
        print(f"{'ok    ' if good else 'FAILED'}  {case.what:<{widths[0]}}  "
              f"expected {case.expected:<{widths[1]}}  seen {seen}")
        print(f"        {event or f'no event {case.event} {case.reason or str()} was logged'}",
              flush=True)
    print(f"\n{len(CASES) - failed} passed, {failed} failed", flush=True)
    return failed


async def stay(rig):
    """Says how to connect, then prints events as they come."""
    token = Client(rig, 0).token(lives_s=86_400)
    address, stream = (f"ws://127.0.0.1:{rig.ports[name]}/ws" for name in ("edge", "stream"))
    print(f"""
wsguard guards {address} until Ctrl-C,
and as stream filter {stream}.
metrics     http://127.0.0.1:{rig.admin_port}/stats/prometheus?filter=wsguard
token       {token}
            (alice, for a day)
talk        .tools/venv/bin/websockets '{address}?token={token}'
            and say <script>, or something longer than 64 KiB
events      as they come:""", flush=True)
    shown = len(rig.events.items)
    died = asyncio.ensure_future(rig.died())
    while not died.done():
        news = asyncio.ensure_future(rig.events.first(lambda _: len(rig.events.items) > shown, None))
        await asyncio.wait({news, died}, return_when=asyncio.FIRST_COMPLETED)
        news.cancel()
        for _, line in rig.events.items[shown:]:
            print(f"            {line}", flush=True)
        shown = len(rig.events.items)
    raise RigError(f"{died.result()} ended by itself\n" + "\n".join(rig.log[-30:]))


async def demo(once):
    async with Rig() as rig:
        failed = await play_all(rig)
        if failed:
            print("\n".join(["", "Envoy said:", *rig.log[-30:]]), flush=True)
        if not once:
            await stay(rig)
        return 1 if failed else 0


async def main(once):
    task = asyncio.ensure_future(demo(once))
    loop = asyncio.get_running_loop()
    interrupted = []

    def end(number):
        interrupted.append(number)
        if len(interrupted) == 1:  # a second one must not break off the clearing up
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        print("\nended", flush=True)
        # Ctrl-C is how it is meant to end, unless a verdict was asked for.
        return 128 + interrupted[0] if once else 0
    except RigError as error:
        print(f"wsguard demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main("--once" in sys.argv[1:])))
