# Connections that do not come about.


def silent_destination():
    other = Other()
    run("ip neigh add 10.9.0.77 lladdr 02:00:00:00:00:77 dev us")
    held = [begun(("10.9.0.77", 443)) for _ in range(3)]
    time.sleep(1.5)
    ready(remote="10.9.0.77:443")
    forever()


def scanner():
    other = Other()
    run("ip link set us arp off")
    held = [begun((f"10.9.0.{3 + index % 250}", 22 + index // 250)) for index in range(400)]
    time.sleep(1.5)
    ready()
    forever()


def crawler():
    other = Other()
    other.shell("for i in $(seq 3 100); do ip addr add 10.9.0.$i/32 dev them; done")
    other.python(
        """
import socket
server = socket.create_server(("0.0.0.0", 80), backlog=1000)
print("up")
while True:
    server.accept()[0].close()
"""
    )
    ready_soon(1)
    while True:
        held = [begun((f"10.9.0.{host}", 80)) for host in range(3, 101)]
        time.sleep(0.2)
        for connection in held:
            connection.close()


def syn_flood():
    run("sysctl -w net.ipv4.tcp_syncookies=1 net.ipv4.tcp_max_syn_backlog=256")
    other = Other()
    run("sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.us.rp_filter=0")
    run(f"ip route add 10.0.0.0/8 via {THEM}")
    server = listener(80, 4096, US)
    flood = other.python(
        f"""
import os, random, socket, struct, time
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
print("up")
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
to = socket.inet_aton("{US}")
while True:
    source = bytes([10, random.randrange(10, 200), random.randrange(256), random.randrange(1, 255)])
    ports = struct.pack("!HH", random.randrange(1024, 65000), 80)
    syn = ports + struct.pack("!IIBBHHH", random.getrandbits(32), 0, 5 << 4, 2, 64000, 0, 0)
    check = checksum(source + to + struct.pack("!BBH", 0, 6, len(syn)) + syn)
    syn = syn[:16] + struct.pack("!H", check) + syn[18:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, to)
    raw.sendto(header + syn, ("{US}", 0))
    time.sleep(0.002)
"""
    )
    time.sleep(3)
    ready()
    forever()


def nothing_listens():
    def connect():
        while True:
            socket.socket().connect_ex((HERE, 7099))
            time.sleep(0.05)

    child(connect)
    time.sleep(0.5)
    ready()
    forever()


def refused_now_and_then():
    ready_soon(0.5)
    while True:
        socket.socket().connect_ex((HERE, 7099))
        time.sleep(2)
