"""The tasks of a server. What a task does is written in its request, as a JSON
object:

    commands    arrays of actions, one COMMAND each
    repeat      sends each COMMAND twice
    early       sends the first COMMAND before the task is acknowledged
    refuse      refuses the task with this text
    silent      neither acknowledges nor ends the task
    hold        the name of an order "release" to wait for before the
                acknowledgement ("ack") or before the end ("end")
    result      the result; by default the results of the commands
    size        makes the result a text of so many characters
    status      how the task ends; by default completed
    error       the error at its end
"""

import asyncio
import hashlib
import json

from console import report
from wire import ServerMessage, fresh, now

LOST = "Task was cancelled because target device disconnected"


class Session:
    def __init__(self, registry, requester, executor, message):
        self.registry, self.requester, self.executor = registry, requester, executor
        self.id = message.session_id or fresh()
        self.name = message.task_name
        self.request = message.request
        self.plan = plan_of(message.request)
        self.waiting = {}  # futures of results, by response_id
        self.done = []
        self.runner = None

    async def run(self):
        plan, status, error = self.plan, "completed", None
        try:
            if plan.get("early"):
                await self.early()
            await self.hold("ack")
            await self.requester.send(ServerMessage(type="heartbeat", status="ok", session_id=self.id, **stamp()))
            for actions in plan.get("commands", []):
                self.done.append(await self.command(actions))
            await self.hold("end")
            status, error = plan.get("status", status), plan.get("error")
        except asyncio.CancelledError:
            status, error = "failed", LOST
        result = plan.get("result", [{"request": self.request, "result": r} for r in self.done])
        if "size" in plan:
            result = "x" * plan["size"]
        end = ServerMessage(
            type="task_end", status=status, error=error, session_id=self.id, result=result, **stamp()
        )
        self.registry.sessions.pop(self.id, None)
        for peer in [self.requester, *({self.executor} - {self.requester})]:
            await peer.try_send(end)

    async def hold(self, where):
        if self.plan.get("hold") == where:
            report("held", session_id=self.id)
            await self.registry.released(self.id)

    async def early(self):
        """Has the first COMMAND done, and only then acknowledges the task."""
        self.done.append(await self.command(self.plan["commands"].pop(0)))

    async def command(self, actions):
        m = ServerMessage(
            type="command",
            status="continue",
            agent_name="LinuxAgent",
            process_name="",
            root_name="",
            actions=[{"call_id": fresh(), "tool_type": "action", **a} for a in actions],
            session_id=self.id,
            task_name=self.name,
            **stamp(),
        )
        self.waiting[m.response_id] = asyncio.get_running_loop().create_future()
        await self.executor.send(m)
        if self.plan.get("repeat"):
            await self.executor.send(m)
        results = await self.waiting[m.response_id]
        for r in results or []:
            if isinstance(r.result, str):
                report("result", size=len(r.result), sha256=hashlib.sha256(r.result.encode()).hexdigest())
        return [r.model_dump(mode="json") for r in results or []]

    def take(self, m):
        """Takes the results of a command; those of another are dropped."""
        future = self.waiting.get(m.prev_response_id)
        if future is None or future.done():
            report("dropped", prev_response_id=m.prev_response_id)
        else:
            future.set_result(m.action_results)


def plan_of(request):
    try:
        plan = json.loads(request or "")
    except ValueError:
        plan = None
    if isinstance(plan, dict):
        return plan
    return {"commands": [[{"tool_name": "echo", "parameters": {"text": request}}]]}


def stamp():
    return {"timestamp": now(), "response_id": fresh()}


class Registry:
    """Who is online, and what runs."""

    def __init__(self):
        self.online, self.sessions, self.holds = {}, {}, {}

    async def released(self, session_id):
        self.holds[session_id] = asyncio.Event()
        await self.holds[session_id].wait()

    def release(self, session_id):
        self.holds[session_id].set()

    async def start(self, client, m):
        """Starts the task m of a client, or returns why not."""
        target = client
        if client.role == "constellation":
            if not m.target_id:
                return "Constellation task requests require target_id"
            target = self.online.get(m.target_id)
            if target is None:
                return f"Target device '{m.target_id}' is not connected"
            if target.role != "device":
                return "Constellation tasks may only target device clients"
        elif m.target_id and m.target_id != client.id:
            return "Device clients may not target other devices"
        session = Session(self, client, target, m)
        if "refuse" in session.plan:
            return session.plan["refuse"]
        if session.plan.get("silent"):
            return None
        other = self.sessions.get(session.id)
        if other is not None and other.requester is not client:
            return f"session_id '{session.id}' is owned by another client"
        self.sessions[session.id] = session
        session.runner = asyncio.ensure_future(session.run())
        return None

    def leave(self, client):
        """Ends what a client has a part in. Of a lost requester nobody is
        told."""
        if self.online.get(client.id) is client:
            del self.online[client.id]
        for session in list(self.sessions.values()):
            if client in (session.executor, session.requester):
                session.runner.cancel()
