# Peers that are gone, and peers that are merely quiet.

TCP_REPAIR = 19


def forgotten(connection):
    """Ends it without a word to the peer, as a crash does."""
    connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    connection.close()


def other_end_is_missing():
    server = listener(7010)

    def clients():
        mine = [socket.create_connection((HERE, 7010)) for _ in range(3)]
        time.sleep(0.3)
        for connection in mine:
            forgotten(connection)

    pid = child(clients)
    held = [server.accept()[0] for _ in range(3)]
    os.waitpid(pid, 0)
    ready()
    forever()


def quiet_pairs():
    server = listener(7010, 1024)

    def serve():
        held = accepting(server)
        forever()

    child(serve)
    server.close()
    mine = [socket.create_connection((HERE, 7010)) for _ in range(300)]
    ready_soon(0.5)
    forever()


def data_into_the_void():
    other = Other()
    other.python(SINK)
    connection = socket.create_connection((THEM, 5000))
    time.sleep(0.2)
    other.vanish()
    connection.sendall(b"x" * 5000)
    time.sleep(4)
    ready(remote=f"{THEM}:5000")
    forever()


def idle(server_keepalive):
    other = Other()
    server = listener(7011, 128, US)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, server_keepalive)
    held = accepting(server)
    clients = f"""
import socket, time
mine = [socket.create_connection(("{US}", 7011)) for _ in range(15)]
print("up")
time.sleep(1000)
"""
    other.python(clients)
    ready()
    forever()


def unwatched():
    idle(0)


def watched():
    idle(1)


def client_that_restarts():
    other = Other()
    server = listener(7012, 128, US)
    held = accepting(server)
    crash = f"""
import socket
connection = socket.create_connection(("{US}", 7012))
connection.setsockopt(socket.IPPROTO_TCP, {TCP_REPAIR}, 1)
connection.close()
"""
    for _ in range(4):
        other.python(crash).wait()
    live = f"""
import socket, time
connection = socket.create_connection(("{US}", 7012))
print("up")
while True:
    connection.send(b"x")
    time.sleep(0.3)
"""
    other.python(live)
    time.sleep(0.5)
    ready(remote=THEM)
    forever()
