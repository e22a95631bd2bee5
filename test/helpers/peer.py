"""The far end of peers.test.js: one datagram socket, driven from standard input.

Each line there is a JSON object with a command (a method of Peer) and its keyword arguments; each
gets one line of JSON back, {"result": …} or {"error": …}. Ends with its standard input.
"""

import array
import hashlib
import json
import os
import socket
import struct
import sys

TIMEOUT = 15  # seconds, for anything that waits
LARGEST = 1 << 20  # bytes: more than the kernel takes in one datagram
MOST_FDS = 253


def digest(data):
    return hashlib.sha256(data).hexdigest()


def name(address):
    """A socket address as text: '' for none, a leading NUL for an abstract name."""
    if isinstance(address, bytes):
        return address.decode()
    return address or ""


def send_fds(sender, data, fds, to):
    """socket.send_fds, which ignores its address before Python 3.12."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    return sender.sendmsg([data], [rights], 0, to)


class Peer:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(TIMEOUT)

    def bind(self, path):
        self.socket.bind(path)
        return name(self.socket.getsockname())

    def identity(self):
        return {"pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid()}

    def become(self, uid, gid):
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        return self.identity()

    def send(self, to, sizes):
        """Sends datagrams of random bytes; returns their digests."""
        messages = [os.urandom(size) for size in sizes]
        for message in messages:
            self.socket.sendto(message, to)
        return [digest(message) for message in messages]

    def send_text(self, to, text):
        return self.socket.sendto(text.encode(), to)

    def send_files(self, to, paths, text=""):
        """Opens files, sends their descriptors in one datagram, closes them."""
        fds = [os.open(path, os.O_RDONLY) for path in paths]
        try:
            return send_fds(self.socket, text.encode(), fds, to)
        finally:
            for fd in fds:
                os.close(fd)

    def send_pipe(self, to):
        """Sends the one writing end of a pipe; returns what the reading end gives."""
        reader, writer = os.pipe()
        send_fds(self.socket, b"pipe", [writer], to)
        os.close(writer)
        with open(reader, "rb") as pipe:
            return pipe.read().decode()

    def send_socket(self, to):
        """Sends one end of a datagram socket pair; the other becomes our socket."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with theirs:
            send_fds(self.socket, b"socket", [theirs.fileno()], to)
        self.socket.close()
        self.socket = ours
        ours.settimeout(TIMEOUT)

    def send_on_pair(self, text):
        return self.socket.send(text.encode())

    def receive(self, count):
        """Takes datagrams: digest, size, sender, and what is in the files behind descriptors."""
        return [self.receive_one() for _ in range(count)]

    def receive_one(self):
        data, fds, flags, sender = socket.recv_fds(self.socket, LARGEST, MOST_FDS)
        texts = [os.pread(fd, 4096, 0).decode() for fd in fds]
        for fd in fds:
            os.close(fd)
        truncated = bool(flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC))
        return {
            "digest": digest(data),
            "size": len(data),
            "text": data.decode() if len(data) < 1000 and data.isascii() else None,
            "from": name(sender),
            "files": texts,
            "truncated": truncated,
        }

    def pass_credentials(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def receive_from_whom(self):
        """Takes one datagram: its text and the pid that the kernel gives for its sender."""
        size = struct.calcsize("3i")
        data, ancillary, _, _ = self.socket.recvmsg(LARGEST, socket.CMSG_SPACE(size))
        [(_, kind, credentials)] = ancillary
        assert kind == socket.SCM_CREDENTIALS
        pid, _, _ = struct.unpack("3i", credentials)
        return {"text": data.decode(), "pid": pid}


def main():
    peer = Peer()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"result": getattr(peer, order.pop("command"))(**order)}
        except OSError as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer))


main()
