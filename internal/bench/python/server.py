"""A server of AIP on websockets and pydantic. It writes a line with its address
when it is ready, and ends with its input."""

import asyncio
import json
import platform
import re
import sys

import pydantic
import websockets

from wire import (
    MAX_SIZE,
    ClientMessage,
    ClientMessageType,
    ClientType,
    Command,
    ServerMessage,
    ServerMessageType,
    TaskStatus,
    ToolType,
    fresh,
    now,
)

TOOL = {"text": "find the largest files under /var/log and summarise them"}

online = {}  # clients, by id
sessions = {}  # by id


class Client:
    def __init__(self, ws, m):
        self.ws, self.id, self.role = ws, m.client_id, m.client_type

    async def send(self, type, status, **fields):
        m = ServerMessage(type=type, status=status, timestamp=now(), response_id=fresh(), **fields)
        await self.ws.send(m.model_dump_json())

    async def refuse(self, text):
        await self.send(ServerMessageType.ERROR, TaskStatus.ERROR, error=text)


class Session:
    """A task: two commands, one after the other."""

    def __init__(self, requester, device, m):
        self.requester, self.device = requester, device
        self.id = m.session_id or fresh()
        self.name = re.sub(r"[^A-Za-z0-9._-]", "_", m.task_name or "").lstrip(".") or fresh()
        self.request = m.request
        self.waiting = {}  # futures of results, by response_id

    async def run(self):
        await self.requester.send(ServerMessageType.HEARTBEAT, TaskStatus.OK, session_id=self.id)
        done = [await self.command() for _ in range(2)]
        del sessions[self.id]
        m = ServerMessage(
            type=ServerMessageType.TASK_END,
            status=TaskStatus.COMPLETED,
            session_id=self.id,
            timestamp=now(),
            response_id=fresh(),
            result=[{"request": self.request, "result": results} for results in done],
        )
        text = m.model_dump_json()
        await self.requester.ws.send(text)
        await self.device.ws.send(text)

    async def command(self):
        m = ServerMessage(
            type=ServerMessageType.COMMAND,
            status=TaskStatus.CONTINUE,
            agent_name="LinuxAgent",
            process_name="",
            root_name="",
            actions=[Command(tool_name="echo", parameters=TOOL, tool_type=ToolType.ACTION, call_id=fresh())],
            session_id=self.id,
            task_name=self.name,
            timestamp=now(),
            response_id=fresh(),
        )
        answer = self.waiting[m.response_id] = asyncio.get_running_loop().create_future()
        await self.device.ws.send(m.model_dump_json())
        results = await answer
        del self.waiting[m.response_id]
        return [r.model_dump() for r in results]

    def take(self, m):
        answer = self.waiting.get(m.prev_response_id)
        if answer is not None and not answer.done():
            answer.set_result(m.action_results or [])


async def serve(ws):
    m = ClientMessage.model_validate_json(await ws.recv())
    client = Client(ws, m)
    if m.type != ClientMessageType.REGISTER or not m.client_id or m.client_id in online:
        await client.refuse(f"client_id '{m.client_id}' is already registered; duplicate registrations are not allowed")
        return
    online[client.id] = client
    tasks = set()
    try:
        await client.send(ServerMessageType.HEARTBEAT, TaskStatus.OK)
        while True:
            await handle(client, ClientMessage.model_validate_json(await ws.recv()), tasks)
    except websockets.ConnectionClosed:
        pass
    finally:
        del online[client.id]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def handle(client, m, tasks):
    if m.client_id and m.client_id != client.id:
        await client.refuse("client_id does not match the registered connection")
    elif m.client_type != client.role:
        await client.refuse("client_type does not match the registered connection")
    elif m.type == ClientMessageType.HEARTBEAT:
        await client.send(ServerMessageType.HEARTBEAT, TaskStatus.OK)
    elif m.type == ClientMessageType.TASK:
        device = online.get(m.target_id)
        if device is None or device.role != ClientType.DEVICE:
            await client.refuse(f"Target device '{m.target_id}' is not connected")
            return
        session = Session(client, device, m)
        sessions[session.id] = session
        task = asyncio.ensure_future(session.run())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    elif m.type == ClientMessageType.COMMAND_RESULTS:
        session = sessions.get(m.session_id)
        if session is not None and session.device is client:
            session.take(m)


async def main():
    async with websockets.serve(serve, "127.0.0.1", 0, max_size=MAX_SIZE) as server:
        host, port = server.sockets[0].getsockname()
        versions = [
            {"Module": "Python", "Version": platform.python_version()},
            {"Module": "websockets", "Version": websockets.__version__},
            {"Module": "pydantic", "Version": pydantic.VERSION},
        ]
        print(json.dumps({"addr": f"{host}:{port}", "versions": versions}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
