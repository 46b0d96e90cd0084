"""A proxyless gRPC client, as a program of its own: gRPC reads its bootstrap once in a process.

For every number on a line of standard input it makes so many calls to the target that is its argument, and prints who
answered, or with which status it failed, as a JSON object of counts.
"""

from __future__ import annotations

import json
import sys
from collections import Counter

import grpc


def main(target: str) -> None:
    channel = grpc.insecure_channel(target)
    who = channel.unary_unary("/test.Who/Who")
    for line in sys.stdin:
        answers: Counter[str] = Counter()
        for _ in range(int(line)):
            try:
                answers[who(b"", timeout=10, wait_for_ready=True).decode()] += 1
            except grpc.RpcError as problem:
                answers[problem.code().name] += 1
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
