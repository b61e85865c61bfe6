"""A client by libcurl's WebSocket API: libcurl.py URL SECONDS PAUSE

For so many seconds it sends a message every PAUSE seconds and looks for what has come:
of the Pings that have, libcurl answers the latest. Then it sends `hello`, and waits for
the echo. Prints one line of JSON: the echo, and what the connection ended with before.
"""

import json
import sys
import time

from curl_cffi import Curl, CurlError, CurlOpt
from curl_cffi.const import CurlECode


def receive(curl):
    """The next message; nothing where none has come."""
    try:
        return curl.ws_recv()[0]
    except CurlError as error:
        if error.code == CurlECode.AGAIN:
            return None
        raise


def main(url, seconds, pause):
    curl = Curl()
    curl.setopt(CurlOpt.URL, url.encode())
    # To open a WebSocket, and return.
    curl.setopt(CurlOpt.CONNECT_ONLY, 2)
    curl.perform()
    echo, error = None, None
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(pause)
            curl.ws_send(b"here", 1)
            # A Pong goes out once a message has come, too.
            while receive(curl) is None:
                time.sleep(0.01)
            receive(curl)
        curl.ws_send(b"hello", 1)
        while echo != b"hello":
            echo = receive(curl)
            time.sleep(0.05)
    except CurlError as came:
        error = str(came)
    print(json.dumps({"echo": echo.decode() if echo else None, "error": error}), flush=True)


main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
