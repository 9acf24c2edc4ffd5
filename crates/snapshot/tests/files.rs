//! A snapshot comes back from its file as it went in, and a cut file never invents anything.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use eleven_snapshot::{
    Counters, Family, Keepalive, KernelOnly, Namespace, NamespaceState, Owner, Process, ReadError,
    ReaderKind, Snapshot, Socket, SocketKind, SocketMemory, SocketOptions, Tail, TcpInfo, Timer, TimerKind,
    read, write,
};
use eleven_tcp::State;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Names as hosts have them, and some that ask for escapes.
fn name() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["[a-z0-9./-]{0,12}", "\\PC{0,6}", Just("\"\\\n\u{0}".to_owned())].prop_map(Arc::from)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))),
        any::<u32>().prop_map(|bits| IpAddr::V6(Ipv4Addr::from(bits).to_ipv6_mapped())),
    ]
}

/// A structure as a kernel writes it: it ends where a field ends, and bits without a
/// meaning are 0.
fn memory() -> impl Strategy<Value = SocketMemory> {
    (any::<[u32; 8]>(), any::<Option<u32>>()).prop_map(|(bytes, drops)| SocketMemory {
        rmem_alloc: bytes[0],
        rcvbuf: bytes[1],
        wmem_alloc: bytes[2],
        sndbuf: bytes[3],
        fwd_alloc: bytes[4],
        wmem_queued: bytes[5],
        optmem: bytes[6],
        backlog: bytes[7],
        drops,
    })
}

fn tcp_info() -> impl Strategy<Value = TcpInfo> {
    let lengths = select(vec![0, 1, 8, 104, 120, 136, 160, 192, 224, 232, 240, 248, 280]);
    (vec(any::<u8>(), 280), lengths).prop_map(|(mut bytes, length)| {
        bytes[7] &= 0b111;
        TcpInfo::from_bytes(&bytes[..length])
    })
}

fn timer() -> impl Strategy<Value = Timer> {
    (select(TimerKind::ALL.to_vec()), any::<u64>(), any::<u8>())
        .prop_map(|(kind, expires_ms, retransmits)| Timer { kind, expires_ms, retransmits })
}

fn keepalive() -> impl Strategy<Value = Keepalive> {
    (any::<bool>(), any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<u32>>())
        .prop_map(|(enabled, idle_s, interval_s, probes)| Keepalive { enabled, idle_s, interval_s, probes })
}

fn owner() -> impl Strategy<Value = Owner> {
    (any::<u32>(), name(), any::<u32>()).prop_map(|(pid, process, fd)| Owner { pid, process, fd })
}

fn no_owner() -> impl Strategy<Value = Option<KernelOnly>> {
    option::of(select(vec![
        KernelOnly::MiniSocket,
        KernelOnly::Orphan,
        KernelOnly::NotAccepted,
        KernelOnly::Unreadable,
    ]))
}

/// Any socket: also such as no kernel has.
fn socket() -> impl Strategy<Value = Socket> {
    let place = (
        option::of(name()),
        select(vec![Family::Inet, Family::Inet6]),
        select(State::ALL.to_vec()),
        select(SocketKind::ALL.to_vec()),
        (address(), any::<Option<u16>>(), address(), any::<Option<u16>>()),
        option::of(name()),
    );
    let queues = (any::<[Option<u32>; 2]>(), any::<[Option<u32>; 2]>());
    let identity = (any::<Option<u32>>(), option::of(name()), any::<Option<u64>>(), any::<Option<u64>>());
    let time = (option::of(timer()), any::<Option<u64>>(), any::<Option<bool>>());
    let holders = (vec(owner(), 0..3), no_owner(), option::of(name()), option::of(name()));
    let details = (
        any::<Option<u32>>(),
        option::of(name()),
        option::of(tcp_info().prop_map(Box::new)),
        option::of(keepalive()),
        option::of(memory().prop_map(Box::new)),
        option::of(any::<[u8; 2]>().prop_map(SocketOptions::from_bytes)),
    );
    (place, queues, identity, time, holders, details).prop_map(
        |(place, (queue, backlog), identity, time, holders, details)| Socket {
            netns: place.0,
            family: place.1,
            state: place.2,
            kind: place.3,
            local_address: place.4.0,
            local_port: place.4.1,
            remote_address: place.4.2,
            remote_port: place.4.3,
            interface: place.5,
            recv_queue: queue[0],
            send_queue: queue[1],
            backlog: backlog[0],
            backlog_limit: backlog[1],
            uid: identity.0,
            user: identity.1,
            inode: identity.2,
            cookie: identity.3,
            timer: time.0,
            age_ms: time.1,
            age_is_lower_bound: time.2,
            owners: holders.0,
            no_owner: holders.1,
            cgroup: holders.2,
            container: holders.3,
            mark: details.0,
            congestion: details.1,
            tcp_info: details.2,
            keepalive: details.3,
            memory: details.4,
            options: details.5,
        },
    )
}

fn namespace_state() -> impl Strategy<Value = NamespaceState> {
    let namespace =
        (name(), any::<u64>(), option::of("[a-z]{1,8}"), any::<Option<u32>>(), option::of("/[a-z]{1,8}"))
            .prop_map(|(label, inode, name, pid, path)| Namespace { label, inode, name, pid, path });
    let counters =
        vec((select(eleven_snapshot::CounterTable::ALL.to_vec()), "[A-Za-z.]{1,12}", any::<i64>()), 0..6)
            .prop_map(|values| {
                let mut counters = Counters::default();
                for (table, name, value) in values {
                    counters.insert(table, name, value);
                }
                counters
            });
    let sysctls = btree_map("[a-z._]{1,12}", "[0-9 \t]{0,8}", 0..4);
    (namespace, counters, sysctls).prop_map(|(namespace, counters, sysctls)| NamespaceState {
        namespace,
        counters,
        sysctls,
    })
}

fn process() -> impl Strategy<Value = Process> {
    (any::<u32>(), name(), any::<Option<u32>>(), any::<Option<u64>>(), any::<u64>(), option::of(name()))
        .prop_map(|(pid, name, uid, descriptor_limit, sockets, container)| Process {
            pid,
            name,
            uid,
            descriptor_limit,
            sockets,
            container,
        })
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    // Any time a clock can show, to the bit.
    let host =
        (0.0..4e9_f64, "\\PC{0,8}", "[0-9.a-z-]{0,12}", option::of("[0-9a-f-]{36}"), vec("\\PC{0,12}", 0..3));
    let readers =
        select(vec![None, Some(ReaderKind::Bpf), Some(ReaderKind::Netlink), Some(ReaderKind::Proc)]);
    (host, readers, vec(namespace_state(), 0..3), vec(socket(), 0..5), vec(process(), 0..3)).prop_map(
        |(host, reader, namespaces, sockets, processes)| Snapshot {
            taken_at_s: host.0,
            host: host.1,
            kernel: host.2,
            boot_id: host.3,
            reader,
            notes: host.4,
            namespaces,
            socket_count: sockets.len() as u64,
            sockets,
            processes,
            ..Snapshot::empty()
        },
    )
}

fn written(snapshot: &Snapshot) -> Vec<u8> {
    let mut file = Vec::new();
    let count = write(&mut file, snapshot, |sink| {
        snapshot.sockets.iter().try_for_each(sink)?;
        Ok::<_, io::Error>(Tail {
            reader: snapshot.reader,
            processes: snapshot.processes.clone(),
            notes: snapshot.notes.clone(),
        })
    })
    .expect("memory takes everything");
    assert_eq!(count, snapshot.socket_count);
    file
}

/// A snapshot with something in every part, for the exhaustive cuts. Its time is one that a
/// hasty reader of numbers rounds wrong.
fn small() -> Snapshot {
    let mut listener = Socket::new(State::Listen);
    (listener.backlog, listener.backlog_limit) = (Some(12), Some(4096));
    (listener.cookie, listener.inode) = (Some(1234), Some(5678));
    let mut open = Socket::new(State::Established);
    open.owners = vec![Owner { pid: 812, process: "nginx".into(), fd: 12 }];
    open.tcp_info = Some(Box::new(TcpInfo::from_bytes(&[1; 104])));
    Snapshot {
        taken_at_s: 995_401_719.769_076_1,
        host: "web1".to_owned(),
        kernel: "6.18.0".to_owned(),
        reader: Some(ReaderKind::Netlink),
        notes: vec!["a note".to_owned()],
        sockets: vec![listener, open],
        socket_count: 2,
        processes: vec![Process {
            pid: 812,
            name: "nginx".into(),
            uid: Some(33),
            descriptor_limit: Some(1024),
            sockets: 1,
            container: None,
        }],
        ..Snapshot::empty()
    }
}

/// What must hold of a file that was cut after `length` bytes.
fn check_cut(whole: &Snapshot, file: &[u8], length: usize) {
    let Ok((cut, partial)) = read(&file[..length]) else { return };
    assert!(whole.sockets.starts_with(&cut.sockets), "after {length} bytes");
    assert_eq!(cut.socket_count, cut.sockets.len() as u64, "after {length} bytes");
    // The head is whole, or there is none.
    assert_eq!(cut.taken_at_s.to_bits(), whole.taken_at_s.to_bits(), "after {length} bytes");
    assert_eq!(
        (&cut.host, &cut.kernel, &cut.boot_id, &cut.namespaces),
        (&whole.host, &whole.kernel, &whole.boot_id, &whole.namespaces),
        "after {length} bytes"
    );
    assert!(cut.processes.is_empty() || cut.processes == whole.processes, "after {length} bytes");
    // The newline behind the last brace is all that may be lacking.
    if length < file.len() - 1 {
        let partial = partial.unwrap_or_else(|| panic!("after {length} bytes nothing is said of the cut"));
        assert_eq!(partial.sockets, cut.socket_count, "after {length} bytes");
        assert!(cut.notes.contains(&partial.to_string()), "after {length} bytes");
    } else {
        assert_eq!(partial, None);
    }
}

#[test]
fn every_cut_of_a_file_gives_an_error_or_the_sockets_before_the_cut() {
    let whole = small();
    let file = written(&whole);
    for length in 0..=file.len() {
        check_cut(&whole, &file, length);
    }
}

#[test]
fn a_newer_layout_is_refused_whatever_follows() {
    for rest in ["}", ",\"sockets\":17}", ",\"sockets\":[{\"st", ""] {
        for version in ["2", "17", "18446744073709551615"] {
            let file = format!("{{\"eleven_snapshot\":{version}{rest}");
            match read(file.as_bytes()) {
                Err(ReadError::Newer { found }) => assert_eq!(found.to_string(), version, "{file}"),
                // Cut within the number, it may be any.
                Err(ReadError::NotASnapshot(_)) if rest.is_empty() => {}
                other => panic!("{file} gave {other:?}"),
            }
        }
    }
}

#[test]
fn what_is_no_snapshot_is_refused() {
    for file in
        ["", "{}", "[]", "null", "{\"eleven_snapshot\":-1}", "{\"eleven_snapshot\":\"1\"}", "{\"a\":1}"]
    {
        assert!(matches!(read(file.as_bytes()), Err(ReadError::NotASnapshot(_))), "{file}");
    }
}

#[test]
fn keys_of_a_later_release_are_passed_over() {
    let file = String::from_utf8(written(&small())).expect("JSON is text");
    let extended = file.replacen(",\n\"sockets\"", ",\"weather\":{\"sky\":[1,2]},\n\"sockets\"", 1);
    assert_ne!(file, extended);
    let (snapshot, partial) = read(extended.as_bytes()).expect("it is whole");
    assert_eq!((snapshot, partial), (small(), None));
}

proptest! {
    #[test]
    fn a_snapshot_comes_back_as_it_was_written(snapshot in snapshot()) {
        let (back, partial) = read(written(&snapshot).as_slice()).expect("it was just written");
        prop_assert_eq!(partial, None);
        prop_assert_eq!(back, snapshot);
    }

    #[test]
    fn any_cut_of_any_snapshot_keeps_what_came_before_it(snapshot in snapshot(), cut in any::<prop::sample::Index>()) {
        let file = written(&snapshot);
        check_cut(&snapshot, &file, cut.index(file.len() + 1));
    }

    #[test]
    fn any_changed_byte_is_survived(snapshot in snapshot(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut file = written(&snapshot);
        let at = at.index(file.len());
        file[at] = byte;
        let _ = read(file.as_slice());
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..300)) {
        let _ = read(bytes.as_slice());
    }

    #[test]
    fn tcp_info_of_any_kernel_keeps_its_values_and_what_is_unknown(bytes in vec(any::<u8>(), 0..400)) {
        let info = TcpInfo::from_bytes(&bytes);
        let json = serde_json::to_string(&info).expect("it is numbers");
        let back: TcpInfo = serde_json::from_str(&json).expect("it was just written");
        for field in TcpInfo::fields() {
            prop_assert_eq!(back.value(field), info.value(field), "{}", field.name);
            prop_assert_eq!(back.get(field.name), info.value(field), "{}", field.name);
        }
    }
}
