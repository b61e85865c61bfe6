"""Both ends of OCPP-J by the package `ocpp` over `websockets`, which has a keepalive of its
own.

ocpp_peer.py serve         prints its port, then a line of JSON for each charger that has gone
ocpp_peer.py connect URL   a charger, with user and password in the URL; calls until a line
                           comes on its input, then has the server close; prints lines of JSON
"""

import asyncio
import json
import sys
from datetime import datetime, timezone

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action, AvailabilityType

# How long anything that must happen may take on a busy machine.
PATIENCE_S = 300
KEEPALIVE = {"ping_interval": 0.5, "ping_timeout": PATIENCE_S, "open_timeout": PATIENCE_S}


def say(**what):
    print(json.dumps(what), flush=True)


def now():
    return datetime.now(timezone.utc).isoformat()


class Charger(ChargePoint):
    """A charger, as the server sees it."""

    beats = 0

    @on(Action.boot_notification)
    def boot(self, **_):
        return call_result.BootNotification(current_time=now(), interval=1, status="Accepted")

    @on(Action.heartbeat)
    def beat(self):
        self.beats += 1
        return call_result.Heartbeat(current_time=now())

    @on(Action.data_transfer)
    async def transfer(self, vendor_id, **_):
        # The other way, too.
        asking = self.call(call.ChangeAvailability(connector_id=0, type=AvailabilityType.operative))
        answering = asyncio.create_task(asking)
        answering.add_done_callback(lambda _: vendor_id == "end" and self.end())
        return call_result.DataTransfer(status="Accepted")

    def end(self):
        self.ending = asyncio.create_task(self._connection.close(4002, "enough"))


async def serve():
    async def talk(connection):
        charger = Charger(connection.request.path.rsplit("/")[-1], connection, PATIENCE_S)
        try:
            await charger.start()
        except websockets.ConnectionClosed:
            pass
        say(
            name=charger.id, subprotocol=connection.subprotocol, beats=charger.beats > 0,
            sees="authorization" in connection.request.headers,
        )

    server = websockets.serve(talk, "127.0.0.1", 0, subprotocols=["ocpp1.6"], **KEEPALIVE)
    async with server as listening:
        say(port=listening.sockets[0].getsockname()[1])
        await listening.serve_forever()


class Client(ChargePoint):
    """The charger itself."""

    operative = False

    @on(Action.change_availability)
    def change(self, **_):
        self.operative = True
        return call_result.ChangeAvailability(status="Accepted")


async def connect(url):
    try:
        connection = await websockets.connect(url, subprotocols=["ocpp1.6"], **KEEPALIVE)
    except websockets.InvalidStatus as refused:
        return say(failed=refused.response.status_code)
    charger = Client("charger", connection, PATIENCE_S)
    running = asyncio.create_task(charger.start())
    booted = await charger.call(
        call.BootNotification(charge_point_model="One", charge_point_vendor="Größer")
    )
    asked = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    say(connected=booted.status)
    while not asked.done():
        await charger.call(call.Heartbeat())
        await charger.call(call.DataTransfer(vendor_id="largest", data="🙂" * 20_000))
        await asyncio.sleep(0.1)
    await charger.call(call.DataTransfer(vendor_id="end"))
    try:
        await running
    except websockets.ConnectionClosed:
        pass
    say(operative=charger.operative, code=connection.close_code, reason=connection.close_reason)


if __name__ == "__main__":
    try:
        asyncio.run({"serve": serve, "connect": connect}[sys.argv[1]](*sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(0)
