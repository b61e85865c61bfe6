"""What the demo plays: good and bad clients, what each should meet, what it met.

A client is told apart in events and in the application's records by its
User-Agent, which is its own in each case.
"""

import asyncio
import base64
import json
import time
from dataclasses import dataclass
from typing import Awaitable, Callable, Optional

import jwt
from rig import Rig, get
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

ORIGIN = "https://app.example.com"
ISSUER = "https://issuer.example.com"
NOTHING_WENT_UP = "nothing went up"
CLOSED = "closed without an answer"
# As long as anything may take on a busy machine.
ANSWER_WITHIN_S = 120
# `quotas.connections.per_ip` of envoy/demo.yaml.
CONNECTIONS_PER_IP = 10


@dataclass(frozen=True)
class Case:
    """One client. `play` answers with what it saw, to be the same as `expected`."""

    what: str
    expected: str
    play: Callable[["Client"], Awaitable[str]]
    event: str  # the event that must be logged for it …
    reason: Optional[str] = None  # … and its reason
    listener: str = "edge"  # where it connects; `stream`: to the stream filter


class Client:
    """How a case speaks to the guarded address, and what the application saw of it."""

    def __init__(self, rig: Rig, number, listener="edge"):
        self.rig = rig
        self.port = rig.ports[listener]
        self.agent = f"wsguard-demo/{number}"

    def token(self, user="alice", lives_s=3600, secret=None):
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "chat", "sub": user, "iat": now, "exp": now + lives_s}
        return jwt.encode(claims, secret or self.rig.secret, algorithm="HS256")

    def connect(self, path="/ws", *, headers=None, origin=ORIGIN, **options):
        return connect(
            f"ws://127.0.0.1:{self.port}{path}", origin=origin, proxy=None,
            additional_headers=headers, user_agent_header=self.agent,
            open_timeout=ANSWER_WITHIN_S, close_timeout=ANSWER_WITHIN_S, ping_interval=None, **options,
        )  # fmt: skip

    def member(self, **options):
        return self.connect(headers={"Authorization": f"Bearer {self.token()}"}, **options)

    async def handshake(self, *args, **options):
        """Tries to open; answers with status and reason of the refusal."""
        try:
            async with self.connect(*args, **options):
                return "101 opened"
        except InvalidStatus as refusal:
            seen = told(refusal.response.status_code, refusal.response.body)
        except InvalidMessage:
            seen = CLOSED
        if any(record.get("agent") == self.agent for record in self.rig.application.items):
            seen += ", but the application saw it"
        return seen

    async def send_and_be_closed(self, message, **options):
        """Sends what must not pass; answers with the Close and what went up."""
        async with self.member() as socket:
            try:
                await socket.send(message, **options)
                echoed = await soon(socket.recv())
                return f"{len(echoed)} came back"
            except ConnectionClosed:
                pass
            except asyncio.TimeoutError:
                return "no answer"
            return f"Close {socket.close_code} {socket.close_reason}, {await self.went_up()}"

    async def went_up(self):
        """What the application received, apart from the Close that ended it."""
        end = await self.recorded("closed")
        if end is None:
            return "the application was not told"
        # A Close on the wire: two bytes of header, four of mask, its payload.
        closes = sum(6 + length for name, length in end["frames"] if name == "CLOSE")
        rest = end["bytes"] - closes
        return NOTHING_WENT_UP if rest == 0 else f"{rest} bytes went up"

    async def recorded(self, event):
        def is_mine(record):
            return record.get("agent") == self.agent and record["event"] == event

        return await self.rig.application.first(is_mine)


async def soon(answer):
    return await asyncio.wait_for(answer, ANSWER_WITHIN_S)


def told(status, body):
    """A refusal in short: its status, and the reason in its problem document."""
    try:
        reason = json.loads(body)["reason"]
    except (ValueError, KeyError, TypeError):
        reason = "(no problem document)"
    return f"{status} {reason}"


async def no_token(client):
    return await client.handshake()


async def forged_token(client):
    token = client.token(secret="a secret of the attacker's own, 32 bytes or more")
    return await client.handshake(headers={"Authorization": f"Bearer {token}"})


async def alg_none(client):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"iss": ISSUER, "aud": "chat", "sub": "alice", "exp": int(time.time()) + 3600}
    token = f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."
    return await client.handshake(headers={"Authorization": f"Bearer {token}"})


async def expired_token(client):
    token = client.token(lives_s=-60)
    return await client.handshake(headers={"Authorization": f"Bearer {token}"})


async def wrong_api_key(client):
    return await client.handshake(headers={"X-API-Key": "x" * 64})


async def wrong_origin(client):
    headers = {"Authorization": f"Bearer {client.token()}"}
    return await client.handshake(headers=headers, origin="https://evil.example")


async def unknown_path(client):
    headers = {"Authorization": f"Bearer {client.token()}"}
    return await client.handshake("/admin", headers=headers)


async def plain_http(client):
    try:
        answer = await asyncio.to_thread(get, client.port, "/ws", {"User-Agent": client.agent})
    except ConnectionError:
        return CLOSED
    return told(*answer)


async def too_big(client):
    return await client.send_and_be_closed("x" * 100_000)


async def split_script(client):
    return await client.send_and_be_closed(["hello <scr", "IPT>alert(1)</script>"])


async def binary(client):
    return await client.send_and_be_closed(b"\0\1\2\3")


async def invalid_utf8(client):
    return await client.send_and_be_closed(b"caf\xe9", text=True)


async def conversation(client):
    """Two members; one pretends in a header to be somebody else."""
    headers = {"Authorization": f"Bearer {client.token('alice')}", "X-User-Id": "admin"}
    said = ["hello", "caf\u00e9 \u2615, " * 2000, ["in ", "three ", "fragments"]]
    async with client.connect(headers=headers) as alice, client.member() as bob:
        for message in said:
            await alice.send(message)
            heard = {await soon(alice.recv()), await soon(bob.recv())}
            if heard != {message if isinstance(message, str) else "".join(message)}:
                return f"{message!r} arrived as {heard!r}"
        await soon(await alice.ping(b"still there?"))
    opened = await client.recorded("opened")
    if opened["credentials"] or opened["path"] != "/ws":
        return f"the application saw the credential: {opened}"
    return f"{len(said)} messages unchanged, known as {opened['user']}"


async def accepted(client, **options):
    """A member who says one thing, and whose credential stays outside."""
    async with client.connect(**options) as socket:
        await socket.send("hello")
        heard = await soon(socket.recv())
    opened = await client.recorded("opened")
    if opened["credentials"] or opened["path"] != "/ws":
        return f"the application saw the credential: {opened}"
    return "conversation" if heard == "hello" else f"heard {heard!r}"


async def token_in_query(client):
    return await accepted(client, path=f"/ws?token={client.token()}")


async def token_as_subprotocol(client):
    return await accepted(client, subprotocols=["bearer", client.token()])


async def api_key(client):
    return await accepted(client, headers={"X-API-Key": client.rig.api_key}, origin=None)


async def admitted(client):
    """A member's connection; waits until what came before has been given back."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while True:
        try:
            return await client.member()
        except InvalidStatus as refusal:
            if refusal.response.status_code != 429 or time.monotonic() > deadline:
                raise
        except InvalidMessage:  # the stream filter's way to refuse
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)


async def one_too_many(client):
    """Comes when its address has all it may have, by either listener; then one leaves."""
    guests = [Client(client.rig, f"guest-{name}", name) for name in ("edge", "stream")]
    sockets = []
    try:
        for number in range(CONNECTIONS_PER_IP):
            sockets.append(await admitted(guests[number % 2]))
        headers = {"Authorization": f"Bearer {client.token()}"}
        seen = await client.handshake(headers=headers)
        await sockets.pop().close()
        sockets.append(await admitted(client))
        return f"{seen}, let in when one has left"
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets))


def refusal(what, status, reason, play):
    return Case(what, f"{status} {reason}", play, "refused", reason)


def close(what, code, reason, play, listener="edge"):
    expected = f"Close {code} {reason}, {NOTHING_WENT_UP}"
    return Case(what, expected, play, "refused", reason, listener)


def cut(what, reason, play):
    return Case(what, CLOSED, play, "refused", reason, "stream")


CASES = [
    refusal("no token", 401, "credentials_missing", no_token),
    refusal("token signed by somebody else", 401, "credentials_invalid", forged_token),
    refusal("token with alg: none", 401, "credentials_invalid", alg_none),
    refusal("token of yesterday", 401, "credentials_expired", expired_token),
    refusal("wrong API key", 401, "credentials_invalid", wrong_api_key),
    refusal("page of another origin", 403, "origin_denied", wrong_origin),
    refusal("path of no policy", 403, "no_policy", unknown_path),
    refusal("plain HTTP request", 426, "not_websocket", plain_http),
    Case("two members talk", "3 messages unchanged, known as alice", conversation, "opened"),
    Case("token in the query", "conversation", token_in_query, "opened"),
    Case("token as subprotocol", "conversation", token_as_subprotocol, "opened"),
    Case("API key", "conversation", api_key, "opened"),
    close("message over 64 KiB", 1009, "message_too_big", too_big),
    close("<script> over two fragments", 1008, "rule_matched", split_script),
    close("binary where text is allowed", 1003, "type_denied", binary),
    close("text that is not UTF-8", 1007, "invalid_utf8", invalid_utf8),
    Case("11th connection of an address", "429 connections_per_ip, let in when one has left",
         one_too_many, "refused", "connections_per_ip"),
    cut("stream filter: no token", "credentials_missing", no_token),
    cut("stream filter: plain HTTP request", "not_websocket", plain_http),
    Case("stream filter: two members talk", "3 messages unchanged, known as alice", conversation,
         "opened", listener="stream"),
    close("stream filter: <script>", 1008, "rule_matched", split_script, "stream"),
]
