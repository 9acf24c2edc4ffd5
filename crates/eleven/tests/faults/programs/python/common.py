# What the programs of the bench share: sockets, children, a second host, and the word that they are ready.
import os, resource, shutil, signal, socket, struct, subprocess, sys, threading, time

HERE = "127.0.0.1"
US, THEM = "10.9.0.1", "10.9.0.2"


def run(command):
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            print("skipped", program, "is not installed", flush=True)
            sys.exit(0)


def ready(*pids, remote=None):
    """The fault is there. It is the fault of these processes, or else of this one."""
    words = [str(pid) for pid in pids or [os.getpid()]]
    print("ready", *words, *([f"@{remote}"] if remote else []), flush=True)


def ready_soon(seconds, *pids, remote=None):
    threading.Timer(seconds, ready, pids, {"remote": remote}).start()


def forever():
    while True:
        time.sleep(100)


def child(work, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return pid


def listener(port, backlog=128, address=HERE):
    return socket.create_server((address, port), backlog=backlog)


def begun(address):
    """A connect() that nobody waits for."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex(address)
    return connection


def filled(connection):
    """Sends until nothing more fits."""
    connection.setblocking(False)
    try:
        while True:
            connection.send(b"x" * 65536)
    except BlockingIOError:
        pass


def accepting(server):
    """Accepts for ever, in the background, and does nothing else."""
    held = []

    def accept():
        while True:
            held.append(server.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return held


class Other:
    """A second host, joined to this one by a cable."""

    def __init__(self):
        need("ip", "nsenter", "unshare")
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == own:
            time.sleep(0.01)
        run(f"ip link add us type veth peer name them netns {self.holder.pid}")
        run(f"ip addr add {US}/24 dev us; ip link set us up")
        self.shell(f"ip link set lo up; ip addr add {THEM}/24 dev them; ip link set them up")

    def shell(self, command):
        run(f"nsenter -t {self.holder.pid} -n sh -c '{command}'")

    def python(self, code):
        """Runs a program over there; returns when it has said that it is up."""
        command = ["nsenter", "-t", str(self.holder.pid), "-n", sys.executable, "-u", "-c", code]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        program.stdout.readline()
        return program

    def vanish(self):
        """Power cut: nothing comes back any more, not even from its neighbour table."""
        self.shell(f"ip addr del {THEM}/24 dev them")
        run(f"ip neigh replace {THEM} lladdr 02:00:00:00:00:02 dev us nud permanent")


SINK = f"""
import socket
server = socket.create_server(("{THEM}", 5000), backlog=64)
print("up")
held = []
while True:
    held.append(server.accept()[0])
"""
