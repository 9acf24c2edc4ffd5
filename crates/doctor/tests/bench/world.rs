//! Hosts made by hand: sockets, counters, sysctls, processes, seen at one moment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use eleven_doctor::{Case, Digest, Finding, Look, judge};
use eleven_snapshot::{
    CounterTable, Counters, KernelOnly, Namespace, NamespaceState, Owner, Process, ProcessDetail, Socket,
    SocketKind, TcpInfo, ThreadGroup, Timer, TimerKind,
};
use eleven_tcp::State;

/// Seconds between two looks.
pub(crate) const APART_S: f64 = 5.0;

/// What a look sees.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) sockets: Vec<Socket>,
    pub(crate) processes: Vec<Process>,
    pub(crate) details: Vec<ProcessDetail>,
    counters: Counters,
    pulses: Vec<Counters>,
    sysctls: BTreeMap<String, String>,
    cookies: u64,
    saved: bool,
}

/// Sysctls of a host that nobody has tuned.
const DEFAULTS: &[(&str, &str)] = &[
    ("net.core.somaxconn", "4096"),
    ("net.ipv4.ip_local_port_range", "32768 60999"),
    ("net.ipv4.ip_local_reserved_ports", ""),
    ("net.ipv4.tcp_abort_on_overflow", "0"),
    ("net.ipv4.tcp_fin_timeout", "60"),
    ("net.ipv4.tcp_keepalive_intvl", "75"),
    ("net.ipv4.tcp_keepalive_probes", "9"),
    ("net.ipv4.tcp_keepalive_time", "7200"),
    ("net.ipv4.tcp_max_orphans", "65536"),
    ("net.ipv4.tcp_max_syn_backlog", "1024"),
    ("net.ipv4.tcp_max_tw_buckets", "65536"),
    ("net.ipv4.tcp_mem", "100000 130000 200000"),
    ("net.ipv4.tcp_mtu_probing", "0"),
    ("net.ipv4.tcp_orphan_retries", "0"),
    ("net.ipv4.tcp_retries2", "15"),
    ("net.ipv4.tcp_sack", "1"),
    ("net.ipv4.tcp_syn_retries", "6"),
    ("net.ipv4.tcp_synack_retries", "5"),
    ("net.ipv4.tcp_syncookies", "1"),
    ("net.ipv4.tcp_timestamps", "1"),
    ("net.ipv4.tcp_tw_reuse", "2"),
    ("net.ipv4.tcp_window_scaling", "1"),
];

impl World {
    /// A quiet host.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            sockets: Vec::new(),
            processes: Vec::new(),
            details: Vec::new(),
            counters: Counters::default(),
            pulses: Vec::new(),
            sysctls: DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            cookies: 0,
            saved: false,
        };
        for name in [
            "ListenOverflows",
            "ListenDrops",
            "TCPReqQFullDrop",
            "TCPTimeWaitOverflow",
            "SyncookiesSent",
            "SyncookiesRecv",
            "TCPAbortOnClose",
            "TCPAbortOnData",
            "TCPMemoryPressures",
        ] {
            world.count(name, 0);
        }
        world.counters.insert(CounterTable::Snmp, "Tcp.OutRsts".to_owned(), 0);
        for name in ["AttemptFails", "EstabResets", "ActiveOpens", "PassiveOpens"] {
            world.mib(name, 0);
        }
        for (name, value) in [("orphan", 0), ("tw", 0), ("mem", 10)] {
            world.counters.insert(CounterTable::Sockstat, format!("TCP.{name}"), value);
        }
        world
    }

    /// As a snapshot that was saved to compare with.
    pub(crate) fn saved(mut self) -> Self {
        self.saved = true;
        self
    }

    /// Sets a `TcpExt` counter.
    pub(crate) fn count(&mut self, name: &str, value: i64) {
        self.counters.insert(CounterTable::Netstat, format!("TcpExt.{name}"), value);
    }

    /// Sets a counter of `Tcp`.
    pub(crate) fn mib(&mut self, name: &str, value: i64) {
        self.counters.insert(CounterTable::Snmp, format!("Tcp.{name}"), value);
    }

    /// Says that the counters stood like those of `other` a moment before.
    pub(crate) fn pulse(mut self, other: &Self) -> Self {
        self.pulses.push(other.counters.clone());
        self
    }

    /// Sets a number of sockstat's line.
    pub(crate) fn sockstat(&mut self, name: &str, value: i64) {
        self.counters.insert(CounterTable::Sockstat, format!("TCP.{name}"), value);
    }

    /// Sets a sysctl.
    pub(crate) fn sysctl(&mut self, name: &str, value: &str) {
        self.sysctls.insert(name.to_owned(), value.to_owned());
    }

    /// Adds a socket and returns it.
    pub(crate) fn add(&mut self, state: State, local: &str, remote: &str) -> &mut Socket {
        let (local, remote): (SocketAddr, SocketAddr) = (local.parse().unwrap(), remote.parse().unwrap());
        self.cookies += 1;
        let mut socket = Socket::new(state);
        socket.netns = Some(Arc::from("1"));
        socket.local_address = local.ip();
        socket.local_port = Some(local.port()).filter(|port| *port > 0);
        socket.remote_address = remote.ip();
        socket.remote_port = Some(remote.port()).filter(|port| *port > 0);
        socket.cookie = Some(self.cookies);
        socket.kind = match state {
            State::TimeWait => SocketKind::TimeWait,
            State::SynReceived => SocketKind::Request,
            State::Closed => SocketKind::Bound,
            _ => SocketKind::Full,
        };
        if state != State::Listen {
            (socket.recv_queue, socket.send_queue) = (Some(0), Some(0));
        }
        if socket.kind == SocketKind::Full {
            socket.tcp_info = Some(info(&[]));
        }
        self.sockets.push(socket);
        self.sockets.last_mut().unwrap()
    }

    /// Adds a listener.
    pub(crate) fn listen(&mut self, at: &str, queue: u32, limit: u32, pid: u32) {
        let socket = self.add(State::Listen, at, "0.0.0.0:0");
        (socket.backlog, socket.backlog_limit) = (Some(queue), Some(limit));
        own(socket, pid, 3);
    }

    /// Adds a process with so many descriptors open of so many.
    pub(crate) fn process(&mut self, pid: u32, open: u64, limit: u64) {
        self.processes.push(Process {
            pid,
            name: name(pid),
            uid: Some(1000),
            descriptor_limit: Some(limit),
            sockets: open / 2,
            container: None,
        });
        self.details.push(ProcessDetail {
            pid,
            descriptors_open: Some(open),
            descriptor_limit: Some(limit),
            threads_total: 1,
            threads: vec![ThreadGroup {
                count: 1,
                state: 'S',
                waits_in: Some("futex_wait_queue".to_owned()),
                system_call: None,
                name: "worker".to_owned(),
            }],
        });
    }

    fn look(&self, at_s: f64, before: Option<&Digest>) -> Look {
        let namespace = Namespace { label: Arc::from("1"), inode: 1, name: None, pid: None, path: None };
        let namespaces = vec![NamespaceState {
            namespace,
            counters: self.counters.clone(),
            sysctls: self.sysctls.clone(),
        }];
        let mut digest = match before {
            None => Digest::first(&namespaces),
            Some(before) => Digest::following(before, &namespaces),
        };
        self.sockets.iter().for_each(|socket| digest.add(socket));
        Look {
            taken_at_s: at_s,
            boot_id: Some("boot".to_owned()),
            kernel: "6.18".to_owned(),
            reader: None,
            saved: self.saved,
            own_namespace: Some(1),
            notes: Vec::new(),
            namespaces,
            pulses: self.pulses.iter().map(|counters| vec![(Arc::from("1"), counters.clone())]).collect(),
            processes: self.processes.clone(),
            details: self.details.clone(),
            digest,
        }
    }
}

/// Findings on two looks, five seconds apart.
pub(crate) fn two(before: &World, after: &World) -> Vec<Finding> {
    let first = before.look(1000.0, None);
    let second = after.look(1000.0 + APART_S, Some(&first.digest));
    judge(&Case::new(Some(&first), &second), |_| true).0
}

/// Findings on one look.
pub(crate) fn one(world: &World) -> Vec<Finding> {
    let look = world.look(1000.0, None);
    judge(&Case::new(None, &look), |_| true).0
}

fn name(pid: u32) -> Arc<str> {
    Arc::from(format!("program{pid}"))
}

/// Gives a socket an owner.
pub(crate) fn own(socket: &mut Socket, pid: u32, fd: u32) {
    socket.inode = Some(u64::from(pid) << 20 | u64::from(fd));
    socket.owners = vec![Owner { pid, process: name(pid), fd }];
}

/// Gives a socket a timer.
pub(crate) fn timer(socket: &mut Socket, kind: TimerKind, retransmits: u8) {
    socket.timer = Some(Timer { kind, expires_ms: 1000, retransmits });
}

/// Makes a socket one that no program has accepted.
pub(crate) fn not_accepted(socket: &mut Socket) {
    socket.no_owner = Some(KernelOnly::NotAccepted);
}

/// A structure with these fields, the others 0.
pub(crate) fn info(fields: &[(&str, u64)]) -> Box<TcpInfo> {
    let all: serde_json::Map<String, serde_json::Value> = TcpInfo::fields()
        .iter()
        .map(|field| {
            let value = fields.iter().find(|(name, _)| field.name.strip_prefix("tcpi_") == Some(name));
            (field.name.to_owned(), value.map_or(0, |(_, value)| *value).into())
        })
        .collect();
    Box::new(serde_json::from_value(all.into()).unwrap())
}
