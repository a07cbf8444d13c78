"""An orchestrator that behaves as the reference's Galaxy client (spec sections
3, 6.2, 6.5 and 9.4): one connection per device."""

import argparse
import asyncio
import os
import time
import traceback

from client import FAILURES, Connection, dial, options, report_failure
from console import orders, report
from wire import ClientMessage, ServerMessageType, TaskStatus, now

parser = argparse.ArgumentParser()
options(parser)
parser.add_argument("--name", required=True)
parser.add_argument("--device", action="append", required=True)
parser.add_argument("--reconnect-delay", type=float, default=5)
parser.add_argument("--no-target", action="store_true", help="registers without target_id")
args = parser.parse_args()


class Link:
    """The connection for one device."""

    def __init__(self, device):
        self.device = device
        self.id = f"{args.name}@{device}"
        self.connection = None
        self.registration = None  # a future while it is pending
        self.infos, self.tasks = {}, {}

    def message(self, type, status="ok", **fields):
        fields.setdefault("client_type", "constellation")
        return ClientMessage(type=type, status=status, client_id=self.id, timestamp=now(), **fields)

    async def connect(self):
        """One connection, from the dial to its end. Returns whether it got to
        be registered."""
        report("state", device=self.device, state="connecting")
        try:
            ws = await dial(args, args.url)
        except FAILURES as e:
            report_failure(e, device=self.device)
            return False
        self.connection = Connection(ws, device=self.device)
        self.registration = asyncio.get_running_loop().create_future()
        reader = asyncio.ensure_future(self.read())
        background = []
        try:
            await asyncio.sleep(0.05)
            await self.connection.send(
                self.message(
                    "register",
                    target_id=None if args.no_target else self.device,
                    metadata={
                        "type": "constellation_client",
                        "task_name": args.name,
                        "targeted_device_id": self.device,
                        "capabilities": ["task_distribution", "session_management", "device_coordination"],
                        "version": "2.0",
                    },
                )
            )
            refusal = await asyncio.wait_for(self.registration, 30)
            self.registration = None
            if refusal is not None:
                report("refused", device=self.device, reason=refusal)
                await ws.wait_closed()
                return False
            report("registered", device=self.device)
            background = [asyncio.ensure_future(self.heartbeats()), asyncio.ensure_future(self.info())]
            await reader
            return True
        except FAILURES:
            return False
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await ws.close()
            await asyncio.gather(reader, return_exceptions=True)
            self.connection.report_end()
            report("state", device=self.device, state="disconnected")
            for pending in [*self.infos.values(), *self.tasks.values()]:
                if not pending.done():
                    pending.set_exception(ConnectionError("disconnected"))
                    pending.exception()  # not everybody waits for it any more

    async def read(self):
        try:
            while True:
                self.handle(await self.connection.receive())
        except FAILURES as e:
            if self.registration is not None and not self.registration.done():
                self.registration.set_exception(e)

    def handle(self, m):
        if m is None:
            return
        pending = self.registration
        if m.type == ServerMessageType.TASK_END:
            settle(self.tasks.get(m.session_id), m)
        elif m.type == ServerMessageType.DEVICE_INFO_RESPONSE:
            settle(self.infos.get(m.response_id), m)
        elif m.type == ServerMessageType.HEARTBEAT and m.status == TaskStatus.OK:
            settle(pending, None)
        elif m.type == ServerMessageType.ERROR:
            settle(pending, m.error or "")

    async def heartbeats(self):
        """The first one at once, and all with the wrong role (spec section
        3.2)."""
        while True:
            await self.connection.send(
                self.message("heartbeat", client_type="device", metadata={"device_id": self.device})
            )
            await asyncio.sleep(args.heartbeat)

    async def info(self, target=None):
        request = f"device_info_{self.device}_{time.time()}"
        self.infos[request] = asyncio.get_running_loop().create_future()
        try:
            await self.connection.send(
                self.message("device_info_request", target_id=target or self.device, request_id=request)
            )
            m = await asyncio.wait_for(self.infos[request], 10)
            ok = isinstance(m.result, dict) and "error" not in m.result
            report("info", device=self.device, ok=ok, result=m.result)
        except (ConnectionError, asyncio.TimeoutError) as e:
            report("info", device=self.device, ok=False, reason=repr(e))
        finally:
            del self.infos[request]

    async def task(self, order):
        """Gives the device a task, and reports what becomes of it."""
        session = order.get("session_id") or f"{args.name}@{order['task_id']}"
        self.tasks[session] = future = asyncio.get_running_loop().create_future()
        began = time.monotonic()

        def done(outcome, **fields):
            report("task", session_id=session, outcome=outcome, seconds=time.monotonic() - began, **fields)

        try:
            await self.connection.send(
                self.message(
                    "task",
                    status="continue",
                    session_id=session,
                    task_name=f"galaxy/{args.name}/{order['task_id']}",
                    target_id=order.get("target_id", self.device),
                    request=order["request"],
                )
            )
            m = await asyncio.wait_for(future, order.get("timeout", 1000))
        except asyncio.TimeoutError:
            done("timeout")
        except FAILURES as e:
            done("disconnected", reason=repr(e))
        else:
            if m.status == TaskStatus.COMPLETED and m.error is None:
                done("completed", result_size=len(str(m.result)))
            else:
                done("failed", reason=m.error)

    async def work(self):
        """Connects, and connects again a few times after a fixed delay."""
        retries = 0
        while True:
            if await self.connect():
                retries = 0
            retries += 1
            if retries > args.max_retries:
                report("ended", device=self.device)
                return
            await asyncio.sleep(args.reconnect_delay)


async def loud(work):
    """Does what was ordered; a failure is one of this program, and ends it."""
    try:
        await work
    except Exception:
        traceback.print_exc()
        os._exit(1)


def settle(future, value):
    if future is not None and not future.done():
        future.set_result(value)


async def main():
    queue = orders()
    links = {device: Link(device) for device in args.device}
    running = {asyncio.ensure_future(link.work()) for link in links.values()}
    while True:
        order = await queue.get()
        if order is None:
            break
        link = links[order.get("device", args.device[0])]
        if order["do"] == "task":
            work = link.task(order)
        elif order["do"] == "info":
            work = link.info(order["target_id"])
        else:
            work = link.connection.obey(order)
        running.add(asyncio.ensure_future(loud(work)))
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


asyncio.run(main())
