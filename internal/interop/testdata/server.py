"""A server that behaves as the reference's (spec sections 3 to 5), on FastAPI
and uvicorn. What its tasks do is written in their requests (sessions.py)."""

import argparse
import asyncio
import re
import socket

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState
from uvicorn.protocols.websockets.websockets_impl import WebSocketProtocol

from console import Pings, orders, parse, report, report_frame
from sessions import Registry, stamp
from wire import ClientMessage, ClientMessageType, ServerMessage, fresh

parser = argparse.ArgumentParser()
parser.add_argument("--token", required=True)
parser.add_argument("--ping-interval", type=float, required=True)
parser.add_argument("--ping-timeout", type=float, default=20)
parser.add_argument(
    "--registration",
    default="ok",
    choices=["ok", "silent", "wrong", "close"],
    help="how registrations are answered: properly, not at all, by a message that is none, by a close",
)
args = parser.parse_args()

app = FastAPI()
registry = Registry()


class Protocol(Pings, WebSocketProtocol):
    pass


class Client:
    """A registered client."""

    def __init__(self, ws, m):
        self.ws, self.id, self.role = ws, m.client_id, m.client_type.value
        self.target = m.target_id
        self.info = (m.metadata or {}).get("system_info") if self.role == "device" else None

    async def send(self, m):
        await send(self.ws, m, client=self.id)

    async def try_send(self, m):
        try:
            await self.send(m)
        except WebSocketDisconnect:
            report("unsent", client=self.id)


async def send(ws, m, **who):
    await send_raw(ws, m.model_dump_json(), **who)


async def send_raw(ws, text, **who):
    if WebSocketState.DISCONNECTED in (ws.client_state, ws.application_state):
        raise WebSocketDisconnect(1006)
    report_frame("sent", text, **who)
    await ws.send_text(text)


def error(text):
    return ServerMessage(type="error", status="error", error=text, **stamp())


@app.websocket("/ws")
async def serve(ws: WebSocket):
    tokens = ws.query_params.getlist("token")
    report(
        "handshake",
        offered=ws.headers.get("sec-websocket-extensions", ""),
        subprotocols=ws.scope["subprotocols"],
        allowed=tokens[-1:] == [args.token],
    )
    if tokens[-1:] != [args.token]:
        await ws.close(1008)  # before it is accepted: a 403
        return
    await ws.accept()
    client = await register(ws)
    if client is None:
        return
    code = None
    try:
        while True:
            await receive(client)
    except WebSocketDisconnect as e:
        code = e.code
    finally:
        registry.leave(client)
        report("left", client=client.id, code=code)


async def register(ws):
    """Registers a client, or says why not and closes. A first frame that is no
    registration gets no answer at all (spec section 8, D3)."""
    frame = await ws.receive_text()
    m = parse(ClientMessage, frame, client=None)
    if m is None or m.type != ClientMessageType.REGISTER or not m.client_id or args.registration == "silent":
        return await deaf()
    refusal = None
    if m.client_type.value == "constellation" and m.target_id:
        target = registry.online.get(m.target_id)
        if target is None or target.role != "device":
            refusal = f"Target device '{m.target_id}' is not connected"
    if refusal is None and m.client_id in registry.online:
        refusal = f"client_id '{m.client_id}' is already registered; duplicate registrations are not allowed"
    if refusal is not None:
        await send(ws, error(refusal), client=m.client_id)
    if refusal is not None or args.registration == "close":
        await ws.close(1000)
        return None
    if args.registration == "wrong":
        await send(ws, ServerMessage(type="task_end", status="ok", **stamp()), client=m.client_id)
        return await deaf()
    client = registry.online[m.client_id] = Client(ws, m)
    await client.send(ServerMessage(type="heartbeat", status="ok", **stamp()))
    report("registered", client=client.id)
    return client


async def deaf():
    """Leaves a connection open and unread, until the end of the server."""
    report("deaf")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return None


async def receive(client):
    """Handles the next message of a client."""
    event = await client.ws.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", 1005), event.get("reason"))
    frame = event.get("text")
    m = parse(ClientMessage, frame if frame is not None else event["bytes"], client=client.id)
    if m is None:
        await client.send(error("not a valid message"))
    elif m.client_id and m.client_id != client.id:
        await client.send(error("client_id does not match the registered connection"))
    elif m.client_type.value != client.role:
        await client.send(error("client_type does not match the registered connection"))
    else:
        await handle(client, m)


async def handle(client, m):
    if m.type == ClientMessageType.HEARTBEAT:
        await client.send(ServerMessage(type="heartbeat", status="ok", **stamp()))
    elif m.type == ClientMessageType.TASK:
        if m.task_name:
            m.task_name = re.sub(r"[^A-Za-z0-9._-]", "_", m.task_name).lstrip(".")
        m.task_name = m.task_name or fresh()
        refusal = await registry.start(client, m)
        if refusal is not None:
            await client.send(error(refusal))
    elif m.type == ClientMessageType.COMMAND_RESULTS:
        session = registry.sessions.get(m.session_id)
        if session is not None and session.executor is client:
            session.take(m)
        else:
            report("dropped", prev_response_id=m.prev_response_id)
    elif m.type == ClientMessageType.DEVICE_INFO_REQUEST:
        await answer_info(client, m)
    elif m.type == ClientMessageType.ERROR:
        await client.send(error(m.error or "Unknown error"))
    elif m.type != ClientMessageType.DEVICE_INFO_RESPONSE:
        await client.send(error(f"Unknown message type: {m.type}"))


async def answer_info(client, m):
    if client.role != "constellation":
        await client.send(error("DEVICE_INFO_REQUEST is permitted only for constellation clients"))
        return
    if client.target and m.target_id != client.target:
        await client.send(error("Not authorized to request device info for this device"))
        return
    device = registry.online.get(m.target_id)
    info = device.info if device else None
    if info is None:
        info = {"error": f"Device {m.target_id} not found or no system info available"}
    answer = ServerMessage(type="device_info_response", status="ok", result=info, **stamp())
    answer.response_id = m.request_id
    await client.send(answer)


def check_key(key):
    if key != args.token:
        raise HTTPException(401, "Invalid API key")


@app.get("/api/clients")
async def clients(x_api_key: str = Header()):
    check_key(x_api_key)
    return {"online_clients": list(registry.online)}


@app.post("/api/dispatch")
async def dispatch(request: Request, x_api_key: str = Header()):
    check_key(x_api_key)
    body = await request.json()
    if not body.get("request"):
        raise HTTPException(400, "Empty task content")
    name, session = body.get("task_name", fresh()), fresh()
    client = registry.online.get(body["client_id"])
    if client is None:
        raise HTTPException(404, "Client not online")
    m = ServerMessage(
        type="task", status="continue", user_request=body["request"], session_id=session, task_name=name, **stamp()
    )
    await client.send(m)
    return {"status": "dispatched", "task_name": name, "client_id": client.id, "session_id": session}


@app.websocket("/broken")
async def broken(ws: WebSocket):
    """A path that fails."""
    raise RuntimeError("broken on purpose")


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        report("listening", port=sockets[0].getsockname()[1])


async def obey(order):
    if order["do"] == "release":
        registry.release(order["session_id"])
        return
    client = registry.online[order["client"]]
    if order["do"] == "send":
        await client.send(ServerMessage(**{**stamp(), **order["message"]}))
    elif order["do"] == "raw":
        await send_raw(client.ws, order["text"], client=client.id)
    elif order["do"] == "close":
        await client.ws.close(order["code"], order.get("reason", ""))
    else:
        raise ValueError(f"unknown order {order}")


async def main():
    config = uvicorn.Config(
        app,
        ws=Protocol,
        ws_ping_interval=args.ping_interval,
        ws_ping_timeout=args.ping_timeout,
        ws_max_size=100 << 20,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    server, listener, queue = Server(config), socket.socket(), orders()
    listener.bind(("127.0.0.1", 0))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    while True:
        order = await queue.get()
        if order is None:
            break
        await obey(order)
    server.should_exit = True
    await serving


asyncio.run(main())
