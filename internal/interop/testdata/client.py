"""What the two client programs have in common."""

import json

import websockets

from console import Pings, parse, report, report_frame
from wire import ServerMessage


class Protocol(Pings, websockets.WebSocketClientProtocol):
    pass


def options(parser):
    parser.add_argument("--url", required=True)
    parser.add_argument("--ping-interval", type=float, default=20)
    parser.add_argument("--ping-timeout", type=float, default=180)
    parser.add_argument("--heartbeat", type=float, default=120)
    parser.add_argument("--no-compression", action="store_true")
    parser.add_argument("--max-retries", type=int, default=0)


def dial(args, url):
    """Connects as the reference's clients do (spec section 2)."""
    return websockets.connect(
        url,
        ping_interval=args.ping_interval,
        ping_timeout=args.ping_timeout,
        close_timeout=10,
        max_size=100 << 20,
        compression=None if args.no_compression else "deflate",
        create_protocol=Protocol,
    )


class Connection:
    """An open connection that reports what passes through it."""

    def __init__(self, ws, **who):
        self.ws, self.who = ws, who
        report(
            "open",
            extensions=[e.name for e in ws.extensions],
            offered=ws.request_headers.get("Sec-WebSocket-Extensions", ""),
            subprotocol=ws.subprotocol,
            **who,
        )

    async def send(self, message):
        await self.send_raw(message.model_dump_json())

    async def send_raw(self, frame):
        report_frame("sent", frame, **self.who)
        await self.ws.send(frame)

    async def receive(self):
        """Returns the next message, None for a frame that is none."""
        return parse(ServerMessage, await self.ws.recv(), **self.who)

    def report_end(self):
        report("closed", code=self.ws.close_code, reason=self.ws.close_reason, **self.who)

    async def obey(self, order):
        """Does what any client can be told to do."""
        if order["do"] == "raw":
            text = order["text"]
            await self.send_raw(text if isinstance(text, str) else json.dumps(text))
        elif order["do"] == "fragments":
            report_frame("sent", "".join(order["texts"]), **self.who)
            await self.ws.send(order["texts"])
        elif order["do"] == "binary":
            await self.send_raw(order["text"].encode())
        elif order["do"] == "close":
            await self.ws.close(order["code"], order.get("reason", ""))
        else:
            raise ValueError(f"unknown order {order}")


def report_failure(e, **who):
    """Reports an attempt to connect that failed."""
    report("failed", status=getattr(e, "status_code", 0), reason=str(e), **who)


FAILURES = (OSError, websockets.InvalidHandshake, websockets.ConnectionClosed)
