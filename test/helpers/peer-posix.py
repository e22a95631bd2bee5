"""The far end of peers-posix.test.js: Python's own socket module, one role a process.

    peer-posix.py serve ADDRESS | connect ADDRESS | datagram ADDRESS

ADDRESS is JSON: a Unix name (a leading NUL for an abstract one), or [host, port]. Prints the address it
has as a line of JSON when it is ready. Every message comes back in capitals; descriptors that come with
one are read, and their text is sent back instead, with the descriptor of a file of ours if asked.
"""

import array
import json
import os
import socket
import sys
import tempfile

TIMEOUT = 15  # seconds, for anything that waits


def family_of(address):
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def open_socket(address, kind):
    made = socket.socket(family_of(address), kind)
    made.settimeout(TIMEOUT)
    return made


def native(address):
    return address if isinstance(address, str) else tuple(address)


def report(address):
    if isinstance(address, bytes):
        address = address.decode()
    print(json.dumps(address if isinstance(address, str) else address[:2]), flush=True)


def echo(connection):
    while True:
        data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(253 * 4))
        fds = array.array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        if not data:
            return
        if not fds:
            connection.sendall(data.upper())
            continue
        texts = b"".join(os.read(fd, 65536) for fd in fds)
        for fd in fds:
            os.close(fd)
        with tempfile.TemporaryFile() as file:
            file.write(b"from Python")
            file.seek(0)
            socket.send_fds(connection, [texts], [file.fileno()])


def main(role, address):
    if role == "serve":
        listener = open_socket(address, socket.SOCK_STREAM)
        listener.bind(native(address))
        listener.listen()
        report(listener.getsockname())
        echo(listener.accept()[0])
    elif role == "connect":
        connection = open_socket(address, socket.SOCK_STREAM)
        connection.connect(native(address))
        report(connection.getsockname())
        echo(connection)
    else:
        bound = open_socket(address, socket.SOCK_DGRAM)
        bound.bind(native(address))
        report(bound.getsockname())
        while True:
            data, sender = bound.recvfrom(65536)
            bound.sendto(data.upper(), sender)


main(sys.argv[1], json.loads(sys.argv[2]))
