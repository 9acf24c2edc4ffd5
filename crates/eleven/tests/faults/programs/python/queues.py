# Queues that nobody empties.


def nobody_accepts():
    server = listener(7002, 4)

    def clients():
        held = []
        while True:
            held.append(begun((HERE, 7002)))
            time.sleep(0.1)

    child(clients)
    time.sleep(2)
    ready()
    forever()


def half_full_queue():
    server = listener(7002, 128)
    mine = [socket.create_connection((HERE, 7002)) for _ in range(60)]
    time.sleep(0.5)
    ready()
    forever()


def requests_that_nobody_accepts():
    server = listener(7002, 128)

    def clients():
        mine = [socket.create_connection((HERE, 7002)) for _ in range(10)]
        for connection in mine:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        forever()

    child(clients)
    time.sleep(0.5)
    ready()
    forever()


def descriptors_used_up():
    server = listener(7003)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    def clients():
        held = []
        try:
            while True:
                held.append(socket.create_connection((HERE, 7003)))
        except OSError:
            forever()

    for _ in range(3):
        child(clients)
    ready_soon(2)
    held = []
    while True:
        try:
            held.append(server.accept()[0])
        except OSError:
            time.sleep(0.1)


def many_descriptors():
    server = listener(7003)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
    held = []
    for _ in range(300):
        held += [socket.create_connection((HERE, 7003)), server.accept()[0]]
    ready()
    forever()


def reader_that_sleeps():
    server = listener(7004)

    def send():
        connection = socket.create_connection((HERE, 7004))
        while True:
            connection.send(b"x" * 65536)

    child(send)
    connection = server.accept()[0]
    time.sleep(1)
    ready()
    forever()


def reader_that_keeps_up():
    server = listener(7004)

    def send():
        connection = socket.create_connection((HERE, 7004))
        while True:
            connection.send(b"x" * 65536)

    for _ in range(3):
        child(send)
    ready_soon(1)

    def read(connection):
        while connection.recv(1 << 20):
            pass

    while True:
        threading.Thread(target=read, args=[server.accept()[0]], daemon=True).start()


def peer_that_sleeps():
    other = Other()
    other.python(SINK)
    connection = socket.create_connection((THEM, 5000))
    filled(connection)
    time.sleep(2)
    ready(remote=f"{THEM}:5000")
    forever()


def closed_before_a_sleeping_reader():
    server = listener(7004)

    def serve():
        held = [server.accept()[0]]
        forever()

    culprit = child(serve)
    server.close()
    connection = socket.create_connection((HERE, 7004))
    filled(connection)
    connection.close()
    time.sleep(2)
    ready(culprit)
    forever()
