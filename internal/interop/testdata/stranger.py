"""A client whose first message is whatever it is told."""

import argparse
import asyncio

from client import FAILURES, Connection, dial, options

parser = argparse.ArgumentParser()
options(parser)
parser.add_argument("--text", required=True)
args = parser.parse_args()


async def main():
    connection = Connection(await dial(args, args.url))
    await connection.send_raw(args.text)
    try:
        while True:
            await connection.receive()
    except FAILURES:
        connection.report_end()


asyncio.run(main())
