# Resets: by habit, and by accident.


def closes_with_data_unread():
    server = listener(7007)

    def client():
        while True:
            try:
                connection = socket.create_connection((HERE, 7007))
                connection.sendall(b"x" * 1000)
                time.sleep(0.1)
                connection.recv(10)
            except OSError:
                pass

    child(client)
    ready_soon(1)
    while True:
        connection = server.accept()[0]
        time.sleep(0.05)
        connection.close()


def sends_after_the_close():
    server = listener(7007)

    def client():
        while True:
            try:
                connection = socket.create_connection((HERE, 7007))
                time.sleep(0.1)
                connection.sendall(b"x")
                connection.close()
            except OSError:
                pass

    child(client)
    ready_soon(1)
    while True:
        server.accept()[0].close()


def one_client_gives_up():
    server = listener(7007)
    mine = []

    def serve():
        while True:
            connection = server.accept()[0]
            try:
                while connection.recv(100):
                    connection.sendall(b"y" * 1000)
            except OSError:
                pass

    for _ in range(30):
        child(serve)
    mine = [socket.create_connection((HERE, 7007)) for _ in range(30)]
    for connection in mine:
        connection.sendall(b"x")
    ready()
    time.sleep(1.5)
    # With the answers unread, all at once, and never again.
    for connection in mine:
        connection.close()
    forever()
