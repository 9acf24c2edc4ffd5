# Connections that one side has closed, and the other has not, or cannot be told.


def server_that_never_closes(count=12):
    server = listener(7001)

    def clients():
        mine = [socket.create_connection((HERE, 7001)) for _ in range(count)]
        time.sleep(0.3)
        for connection in mine:
            connection.close()

    pid = child(clients)
    held = [server.accept()[0] for _ in range(count)]
    os.waitpid(pid, 0)
    ready()
    forever()


def server_that_leaks():
    server = listener(7001)

    def clients():
        while True:
            socket.create_connection((HERE, 7001)).close()
            time.sleep(0.1)

    child(clients)
    held = []
    ready_soon(2)
    while True:
        held.append(server.accept()[0])


def pool_that_never_looks():
    server = listener(7001)

    def serve():
        for _ in range(20):
            connection = server.accept()[0]
            connection.sendall(b"bye")
            connection.close()
        forever()

    child(serve)
    server.close()
    pool = [socket.create_connection((HERE, 7001)) for _ in range(20)]
    time.sleep(0.5)
    ready()
    forever()


def answers_to_half_closed_clients():
    server = listener(7001)

    def serve():
        held = [server.accept()[0] for _ in range(20)]
        while True:
            for connection in held:
                connection.sendall(b"x" * 100)
            time.sleep(0.5)

    child(serve)
    server.close()
    mine = [socket.create_connection((HERE, 7001)) for _ in range(20)]
    for connection in mine:
        connection.shutdown(socket.SHUT_WR)
    ready_soon(1)
    while True:
        for connection in mine:
            connection.recv(1000)


def slow_answers():
    server = listener(7001, 200)

    def answer(connection):
        time.sleep(1.5)
        connection.sendall(b"x")
        connection.close()

    def serve():
        while True:
            threading.Thread(target=answer, args=[server.accept()[0]], daemon=True).start()

    child(serve)
    server.close()

    def ask():
        while True:
            with socket.create_connection((HERE, 7001)) as connection:
                connection.shutdown(socket.SHUT_WR)
                connection.recv(10)

    for _ in range(30):
        threading.Thread(target=ask, daemon=True).start()
    time.sleep(3)
    ready()
    forever()


def client_that_waits_for_a_close():
    server = listener(7001)

    def serve():
        held = [server.accept()[0] for _ in range(8)]
        forever()

    culprit = child(serve)
    server.close()
    mine = [socket.create_connection((HERE, 7001)) for _ in range(8)]
    time.sleep(0.3)
    for connection in mine:
        connection.shutdown(socket.SHUT_WR)
    time.sleep(0.5)
    ready(culprit)
    forever()


def fin_into_the_void():
    other = Other()
    other.python(SINK)
    mine = [socket.create_connection((THEM, 5000)) for _ in range(5)]
    time.sleep(0.2)
    other.vanish()
    for connection in mine:
        connection.close()
    time.sleep(3)
    ready(remote=THEM)
    forever()


def last_ack_from_the_void():
    other = Other()
    other.python(
        f"""
import socket, time
server = socket.create_server(("{THEM}", 5000), backlog=64)
print("up")
for connection in [server.accept()[0] for _ in range(5)]:
    connection.close()
time.sleep(1000)
"""
    )
    mine = [socket.create_connection((THEM, 5000)) for _ in range(5)]
    for connection in mine:
        connection.recv(1)
    other.vanish()
    for connection in mine:
        connection.close()
    time.sleep(3)
    ready(remote=THEM)
    forever()
