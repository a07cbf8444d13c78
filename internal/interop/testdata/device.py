"""A device that behaves as the reference's device client (spec sections 3 and
9.3). Its tools are harmless."""

import argparse
import asyncio

from client import FAILURES, Connection, dial, options, report_failure
from console import orders, report
from wire import ClientMessage, Result, ResultStatus, ServerMessageType, TaskStatus, fresh, now

parser = argparse.ArgumentParser()
options(parser)
parser.add_argument("--id", required=True)
parser.add_argument("--platform", default="linux")
parser.add_argument("--backoff", type=float, default=1, help="the unit of the exponential backoff, in seconds")
parser.add_argument("--bare", action="store_true", help="registers without system_info")
args = parser.parse_args()

AGENTS = {"HostAgent", "AppAgent", "LinuxAgent", "MobileAgent", "HardwareAgent", "ConstellationAgent"}


async def echo(command):
    return command.removeprefix("echo ")


async def sleep(seconds):
    await asyncio.sleep(seconds)
    return f"slept {seconds}"


async def fail(text):
    raise RuntimeError(text)


async def big(size):
    return "x" * size


async def give(value):
    return value


TOOLS = {"execute_command": echo, "sleep": sleep, "fail": fail, "big": big, "give": give}


async def run(actions):
    """Runs commands in order, up to the first failure. A tool it does not have
    is an exception: there are no results then (spec section 3.5)."""
    results, failed = [], False
    for action in actions:
        if failed:
            results.append(
                Result(
                    status=ResultStatus.SKIPPED,
                    error="Skipped due to previous failure (early_exit=True).",
                    call_id=action.call_id,
                )
            )
            continue
        if action.tool_name == "":
            results.append(
                Result(status=ResultStatus.SUCCESS, error="", result="No action taken.", call_id=action.call_id)
            )
            continue
        result = Result(status=ResultStatus.SUCCESS, namespace="tools", call_id=action.call_id)
        if action.tool_name == "list_tools":
            result.result = [
                {"tool_key": f"action::{name}", "tool_name": name, "namespace": "tools", "tool_type": "action"}
                for name in TOOLS
            ]
        else:
            tool = TOOLS[action.tool_name]
            try:
                result.result = await tool(**(action.parameters or {})) or None
            except RuntimeError as e:
                result.status, result.error, failed = ResultStatus.FAILURE, str(e), True
        results.append(result)
        await asyncio.sleep(0.1)
    return results


class Device:
    def __init__(self, connection):
        self.connection = connection

    def message(self, type, status="ok", **fields):
        return ClientMessage(
            type=type, status=status, client_type="device", client_id=args.id, timestamp=now(), **fields
        )

    async def register(self):
        """Registers, and reads exactly one message, without a deadline."""
        info = {
            "device_id": args.id,
            "platform": args.platform,
            "os_version": "#1 SMP",
            "cpu_count": 2,
            "memory_total_gb": 3.75,
            "hostname": f"host of {args.id}",
            "ip_address": "192.0.2.2",
            "supported_features": ["gui", "cli", "browser", "file_system", "office", "linux_apps"],
            "platform_type": "computer",
            "schema_version": "1.0",
            "custom_metadata": {},
        }
        metadata = {} if args.bare else {"system_info": info}
        metadata.update(registration_time=now(), platform=args.platform)
        await self.connection.send(self.message("register", metadata=metadata))
        answer = await self.connection.receive()
        if answer is not None and answer.status == TaskStatus.OK:
            report("registered")
            return True
        report("refused", reason=answer.error if answer else None)
        return False

    async def heartbeats(self):
        while True:
            await asyncio.sleep(args.heartbeat)
            await self.connection.send(self.message("heartbeat"))

    async def task(self, request, task_name):
        await self.connection.send(
            self.message(
                "task",
                status="continue",
                request=request,
                task_name=task_name,
                request_id=fresh(),
                metadata={"platform": args.platform},
            )
        )

    async def handle(self, m):
        if m is None:
            return
        if m.type == ServerMessageType.COMMAND:
            if m.agent_name not in AGENTS:
                raise KeyError(m.agent_name)
            results = await run(m.actions or [])
            await self.connection.send(
                self.message(
                    "command_results",
                    status=m.status,
                    session_id=m.session_id,
                    action_results=results,
                    request_id=fresh(),
                    prev_response_id=m.response_id,
                )
            )
        elif m.type == ServerMessageType.TASK:
            await self.task(m.user_request, m.task_name)

    async def serve(self):
        """Handles one message after the other, and reads none meanwhile."""
        while True:
            m = await self.connection.receive()
            try:
                await self.handle(m)
            except (KeyError, TypeError) as e:
                report("silent", reason=repr(e))


async def connect(queue):
    """One connection, from the dial to its end. Returns whether it got to be
    registered."""
    try:
        ws = await dial(args, args.url)
    except FAILURES as e:
        report_failure(e)
        return False
    device = Device(Connection(ws))
    registered, tasks = False, []
    try:
        registered = await device.register()
        if registered:
            tasks = [asyncio.ensure_future(device.heartbeats()), asyncio.ensure_future(obey(device, queue))]
            await device.serve()
        else:
            await ws.wait_closed()
    except FAILURES:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ws.close()
        device.connection.report_end()
    return registered


async def obey(device, queue):
    while True:
        order = await queue.get()
        if order["do"] == "task":
            await device.task(order.get("request"), order["task_name"])
        else:
            await device.connection.obey(order)


async def main():
    queue, mine = orders(), asyncio.Queue()

    async def work():
        retries = 0
        while True:
            if await connect(mine):
                retries = 0
            retries += 1
            if retries >= args.max_retries:
                report("ended")
                return
            await asyncio.sleep(args.backoff * 2**retries)

    worker = asyncio.ensure_future(work())
    while True:
        order = await queue.get()
        if order is None:
            break
        mine.put_nowait(order)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


asyncio.run(main())
