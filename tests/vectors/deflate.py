"""Makes deflate.json: messages compressed by zlib as permessage-deflate does
(RFC 7692 §7.2.1), for src/frame/deflate. Run it in this folder with any Python;
another version of zlib may compress in other bytes.

All cases carry the same messages, in hexadecimal; each is one direction, with
its window and what goes over the wire.
"""

import json
import pathlib
import zlib

TAIL = b"\x00\x00\xff\xff"


def compressed(messages, bits, takeover, level=6, memory=8, cut=None):
    """Each message flushed, without its tail; `cut` flushes within it too."""
    made = None
    for message in messages:
        if made is None or not takeover:
            made = zlib.compressobj(level, zlib.DEFLATED, -bits, memory)
        parts = [message] if cut is None else [message[at : at + cut] for at in range(0, len(message), cut)]
        data = b"".join(made.compress(part) + made.flush(zlib.Z_SYNC_FLUSH) for part in parts or [b""])
        assert data.endswith(TAIL)
        yield data[: -len(TAIL)].hex()


def texts():
    chat = [json.dumps({"type": "chat", "room": "lobby", "text": text, "seq": n}).encode()
            for n, text in enumerate(["hello", "hello again", "", "héllo wörld", "hello"])]
    numbers = " ".join(str(n * n) for n in range(700)).encode()
    return [*chat, b"", numbers, chat[0], numbers[-400:], bytes(range(256)), b"\x00" * 3000, chat[1]]


def cases():
    for bits in range(9, 16):
        for takeover in (True, False):
            yield f"bits {bits}", bits, takeover, {}
    yield "stored", 15, True, {"level": 0}
    yield "fastest", 15, True, {"level": 1}
    yield "best", 15, True, {"level": 9, "memory": 9}
    yield "least memory", 9, True, {"memory": 1}
    yield "flushed within", 12, True, {"cut": 40}


def main():
    made = [{"name": name, "bits": bits, "takeover": takeover,
             "compressed": list(compressed(texts(), bits, takeover, **how))}
            for name, bits, takeover, how in cases()]
    lines = ",\n".join(json.dumps(case) for case in made)
    messages = json.dumps([message.hex() for message in texts()])
    text = f'{{"messages": {messages},\n"cases": [\n{lines}\n]}}\n'
    pathlib.Path("deflate.json").write_text(text)


main()
