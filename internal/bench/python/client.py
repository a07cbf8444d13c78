"""Clients of AIP on websockets and pydantic, which measure. Each line of the
input is a turn, and the answer to it a line with the rate."""

import asyncio
import json
import sys
import time

import websockets

from wire import (
    MAX_SIZE,
    ClientMessage,
    ClientMessageType,
    ClientType,
    Result,
    ResultStatus,
    ServerMessage,
    ServerMessageType,
    TaskStatus,
    fresh,
    now,
)


class Client:
    """A registered client."""

    def __init__(self, ws, id, role):
        self.ws, self.id, self.role = ws, id, role

    async def send(self, type, status=TaskStatus.OK, **fields):
        m = ClientMessage(
            type=type, status=status, client_type=self.role, client_id=self.id, timestamp=now(), **fields
        )
        await self.ws.send(m.model_dump_json())

    async def receive(self):
        return ServerMessage.model_validate_json(await self.ws.recv())


async def connect(compression, id, role, **fields):
    client = Client(await websockets.connect(sys.argv[1], max_size=MAX_SIZE, compression=compression), id, role)
    await client.send(ClientMessageType.REGISTER, **fields)
    answer = await client.receive()
    if answer.type != ServerMessageType.HEARTBEAT or answer.status != TaskStatus.OK:
        raise RuntimeError(f"the registration was refused: {answer.error}")
    return client


async def heartbeats(compression, in_flight, begin, end):
    """Returns how many heartbeats are answered per second."""
    client = await connect(compression, "device-0001", ClientType.DEVICE, metadata={"platform": "linux"})
    for _ in range(in_flight):
        await client.send(ClientMessageType.HEARTBEAT)
    count = 0
    while True:
        answer = await client.receive()
        if answer.type != ServerMessageType.HEARTBEAT or answer.status != TaskStatus.OK:
            raise RuntimeError(f"a heartbeat is answered by {answer!r}")
        at = time.monotonic()
        if at >= begin:
            count += 1
        if at >= end and count > 0:
            break
        await client.send(ClientMessageType.HEARTBEAT)
    for _ in range(in_flight - 1):
        await client.receive()
    await client.ws.close()
    return count / (at - begin)


async def echo(text):
    return {"text": text}


async def device(client):
    """Runs the commands, one after the other, until the connection ends."""
    try:
        while True:
            m = await client.receive()
            if m.type != ServerMessageType.COMMAND:
                continue
            results = [
                Result(
                    status=ResultStatus.SUCCESS,
                    result=await echo(**(action.parameters or {})),
                    namespace="tools",
                    call_id=action.call_id,
                )
                for action in m.actions or []
            ]
            await client.send(
                ClientMessageType.COMMAND_RESULTS,
                status=m.status,
                session_id=m.session_id,
                action_results=results,
                request_id=fresh(),
                prev_response_id=m.response_id,
            )
    except websockets.ConnectionClosed:
        pass


async def constellation(client, waiting):
    """Hands on the ends of tasks, until the connection ends."""
    try:
        while True:
            m = await client.receive()
            if m.type == ServerMessageType.TASK_END:
                waiting.pop(m.session_id).set_result(m)
            elif m.type == ServerMessageType.ERROR:
                raise RuntimeError(m.error)
    except websockets.ConnectionClosed:
        pass


async def tasks(compression, in_flight, begin, end):
    """Returns how many tasks are done per second."""
    executor = await connect(compression, "device-0001", ClientType.DEVICE, metadata={"platform": "linux"})
    client = await connect(compression, "bench@device-0001", ClientType.CONSTELLATION, target_id=executor.id)
    waiting = {}  # futures of ends, by session_id
    readers = [asyncio.ensure_future(device(executor)), asyncio.ensure_future(constellation(client, waiting))]
    count = 0

    async def caller():
        nonlocal count
        while True:
            session = f"bench@{fresh()}"
            ended = waiting[session] = asyncio.get_running_loop().create_future()
            await client.send(
                ClientMessageType.TASK,
                status=TaskStatus.CONTINUE,
                session_id=session,
                task_name=f"galaxy/bench/{session}",
                target_id=executor.id,
                request="{}",
            )
            m = await ended
            if m.status != TaskStatus.COMPLETED or len(m.result) != 2:
                raise RuntimeError(f"a task ends with {m!r}")
            at = time.monotonic()
            if at >= begin:
                count += 1
            if at >= end:
                return

    callers = asyncio.gather(*(caller() for _ in range(in_flight)))
    await asyncio.wait([callers, *readers], return_when=asyncio.FIRST_COMPLETED)
    if not callers.done():
        raise RuntimeError("a connection has ended early")
    callers.result()
    took = time.monotonic() - begin
    await client.ws.close()
    await executor.ws.close()
    await asyncio.gather(*readers)
    return count / took


async def main():
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        turn = json.loads(line)
        begin = time.monotonic() + turn["warm"]
        measure = {"heartbeat": heartbeats, "task": tasks}[turn["kind"]]
        compression = "deflate" if turn["compressed"] else None
        try:
            answer = {"rate": await measure(compression, turn["in_flight"], begin, begin + turn["turn"])}
        except (RuntimeError, ValueError, OSError, websockets.WebSocketException) as e:
            answer = {"error": repr(e)}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
