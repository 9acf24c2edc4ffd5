# Local ports and TIME_WAIT.


def short_connections(port, pause):
    server = listener(port)

    def serve():
        while True:
            connection = server.accept()[0]
            connection.recv(1)
            connection.close()

    child(serve)
    server.close()
    while True:
        try:
            socket.create_connection((HERE, port)).close()
        except OSError:
            pass
        time.sleep(pause)


def no_port_left():
    run("sysctl -w net.ipv4.ip_local_port_range='40000 40199' net.ipv4.tcp_tw_reuse=0")
    ready_soon(3, remote=f"{HERE}:7008")
    short_connections(7008, 0.002)


def ports_run_out():
    run("sysctl -w net.ipv4.ip_local_port_range='40000 40999' net.ipv4.tcp_tw_reuse=0")
    ready_soon(6, remote=f"{HERE}:7008")
    short_connections(7008, 0.008)


def ports_to_spare():
    ready_soon(3)
    short_connections(7008, 0.005)


def server_that_closes_first():
    server = listener(7009)

    def serve():
        while True:
            connection = server.accept()[0]
            connection.sendall(b"bye")
            connection.close()

    pid = child(serve)
    server.close()
    for _ in range(200):
        with socket.create_connection((HERE, 7009)) as connection:
            while connection.recv(10):
                pass
    ready(pid)
    forever()


def buckets_used_up():
    run("sysctl -w net.ipv4.tcp_max_tw_buckets=50")
    ready_soon(2)
    short_connections(7008, 0.002)


def harmful_values():
    run("sysctl -w net.ipv4.tcp_abort_on_overflow=1 net.ipv4.tcp_retries2=3")
    ready()
    forever()


def listens_among_outgoing_ports():
    server = listener(45000)
    ready()
    forever()
