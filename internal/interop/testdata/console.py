"""How a program talks to the test that runs it: it reports what happens as
one JSON object per line on its standard output, and is told what to do by the
same on its standard input, whose end ends the program."""

import asyncio
import hashlib
import json
import sys
import threading

from pydantic import ValidationError

LONGEST = 64 << 10  # of the texts that are reported whole
PONG = 0xA  # the opcode


def report(event, **fields):
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def report_frame(event, frame, **fields):
    """Reports a frame that was sent or received."""
    if isinstance(frame, bytes):
        report(event, binary=True, size=len(frame), **fields)
        return
    size = len(frame.encode())
    if size <= LONGEST:
        report(event, text=frame, size=size, **fields)
    else:
        report(event, size=size, sha256=hashlib.sha256(frame.encode()).hexdigest(), **fields)


def parse(model, frame, **fields):
    """Returns the message in a frame, or None if there is none. What the
    model would not expect is reported."""
    report_frame("received", frame, **fields)
    try:
        message = model.model_validate_json(frame)
    except ValidationError as e:
        report("invalid", reason=str(e), **fields)
        return None
    unknown = sorted(set(json.loads(frame)) - set(model.model_fields))
    if unknown:
        report("unknown", fields=unknown, **fields)
    return message


def orders():
    """Returns a queue of what to do; None is the end."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(queue.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return queue


class Pings:
    """Reports the pings of a connection of package websockets: "ping" when one
    has come and is answered, "pong" when one of its own is answered, "unasked"
    when a pong has come that answers none."""

    async def read_frame(self, max_size):
        frame = await super().read_frame(max_size)
        if frame.opcode == PONG and frame.data not in self.pings:
            report("unasked", text=frame.data.decode())
        return frame

    async def ping(self, data=None):
        waiter = await super().ping(data)
        waiter.add_done_callback(answered)
        return waiter

    async def pong(self, data=b""):
        await super().pong(data)
        report("ping")


def answered(waiter):
    if not waiter.cancelled() and waiter.exception() is None:
        report("pong")
