//! What scripts rely on: keys, counts, exit codes, the same answer in every format.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use eleven_snapshot::{Family, Socket, SocketKind, TimerKind};
use eleven_tcp::State;
use eleven_testbed::namespace::{Inhabitant, Named, Net};
use eleven_testbed::sockets::{
    ANYWHERE6, LOOPBACK, LOOPBACK6, address, bound, connect, connecting, fill, listen, listen_on, pair,
    time_wait,
};
use eleven_testbed::wire::{HERE, Wire};
use eleven_testbed::{or_skip, skipped, wait_for};
use serde_json::{Value, json};

use crate::support::program::{Ran, RunInside, run};
use crate::support::sockets::half_closed;

/// Keys of a row, as the design lists them.
const KEYS: [&str; 27] = [
    "netns",
    "family",
    "state",
    "kind",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "interface",
    "recv_queue",
    "send_queue",
    "backlog",
    "backlog_limit",
    "uid",
    "user",
    "inode",
    "cookie",
    "timer",
    "age_ms",
    "age_is_lower_bound",
    "owners",
    "cgroup",
    "container",
    "mark",
    "congestion",
    "tcp_info",
    "keepalive",
];

/// Sockets of every kind, and no other, in namespaces of their own.
#[derive(Debug)]
struct Scene {
    wire: Wire,
    listener: std::net::SocketAddr,
    held: Vec<socket2::Socket>,
}

/// A listener's backlog, and how many connections wait in it.
const BACKLOG: i32 = 5;
const WAITING: usize = 2;
/// Bytes that nobody has read.
const UNREAD: &[u8] = b"eleven";

/// Rows of the scene in each state. It has no TIME_WAIT: they go after a minute.
const STATES: [(State, usize); 7] = [
    // The scene's own, those of the pairs are closed.
    (State::Listen, 4),
    (State::SynReceived, 1),
    // Two waiting connections, three pairs.
    (State::Established, 2 * WAITING + 6),
    (State::FinWait2, 1),
    (State::CloseWait, 1),
    (State::Closed, 2),
    (State::SynSent, 0),
];

impl Scene {
    /// The scene; `None` where it cannot be set, which is then said.
    fn open() -> Option<&'static Self> {
        static SCENE: OnceLock<Result<Scene, String>> = OnceLock::new();
        SCENE.get_or_init(Self::set).as_ref().map_err(|why| skipped(why)).ok()
    }

    fn set() -> Result<Self, String> {
        let wire = Wire::new_cut()?;
        let mut held = Vec::new();
        let (listener, request_to) = wire.here.run(|| {
            let listener = listen(LOOPBACK, BACKLOG);
            held.extend((0..WAITING).map(|_| connect(address(&listener))));
            let at = address(&listener);
            let both_families = listen(ANYWHERE6, BACKLOG);
            let mapped = connect((std::net::Ipv4Addr::LOCALHOST, address(&both_families).port()).into());
            held.push(both_families.accept().expect("a client waits").0);
            let (client, server) = pair(LOOPBACK);
            client.set_keepalive(true).expect("an open socket");
            fill(&server, &client, UNREAD);
            let (client6, server6) = pair(LOOPBACK6);
            let (done, other) = half_closed(LOOPBACK);
            let on_wire = listen((HERE, 0).into(), BACKLOG);
            let on_device = listen_on("lo", LOOPBACK);
            let request_to = address(&on_wire);
            held.extend([listener, both_families, mapped, client, server, client6, server6, done, other]);
            held.extend([on_wire, on_device, bound(LOOPBACK), bound(LOOPBACK6)]);
            (at, request_to)
        });
        // Its SYN arrives, the answer to it does not.
        held.push(wire.there.run(|| connecting(request_to)));
        let scene = Self { wire, listener, held };
        wait_for("the scene", || {
            let rows = scene.rows(&["--reader", "netlink", "--no-owners"]);
            let complete = STATES.iter().all(|(state, count)| of(&rows, *state).len() == *count);
            if complete { Ok(()) } else { Err(rows) }
        });
        Ok(scene)
    }

    fn eleven(&self, arguments: &[&str]) -> Ran {
        self.wire.here.eleven(arguments)
    }

    /// Rows of `list`, as sockets.
    fn rows(&self, arguments: &[&str]) -> Vec<Socket> {
        let rows = self.eleven(&[&["list", "--format", "ndjson"], arguments].concat()).ndjson();
        let read = |row| serde_json::from_value(row).expect("a row is a socket");
        rows.into_iter().map(read).collect()
    }
}

fn of(rows: &[Socket], state: State) -> Vec<&Socket> {
    rows.iter().filter(|row| row.state == state).collect()
}

macro_rules! scene_or_return {
    () => {
        match Scene::open() {
            Some(scene) => scene,
            None => return,
        }
    };
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn every_row_has_every_key_in_both_json_formats() {
    let scene = scene_or_return!();
    // In a place of its own: a TIME_WAIT ends, and what leaves one comes and goes.
    let net = or_skip!(Net::new());
    net.run(|| time_wait(LOOPBACK));
    let time_waits = net.eleven(&["list", "--format", "ndjson"]).ndjson();
    assert_eq!(time_waits.len(), 1);
    let array = scene.eleven(&["list", "--format", "json"]).json();
    let lines = scene.eleven(&["list", "--format", "ndjson"]).ndjson();
    let array = array.as_array().expect("`--format json` is one array");
    for row in array.iter().chain(&lines).chain(&time_waits) {
        let missing: Vec<_> = KEYS.iter().filter(|key| !keys(row).contains(**key)).collect();
        assert!(missing.is_empty(), "{missing:?} in {row}");
        for key in keys(row).into_iter().filter(|key| row[*key].is_number()) {
            let duration = ["age", "expires", "idle", "interval"].iter().any(|word| key.starts_with(word));
            assert!(
                !duration || ["_s", "_ms", "_us"].iter().any(|unit| key.ends_with(unit)),
                "{key} does not say its unit"
            );
        }
        if !row["timer"].is_null() {
            assert_eq!(keys(&row["timer"]), BTreeSet::from(["kind", "expires_ms", "retransmits"]));
        }
        for owner in row["owners"].as_array().expect("owners is an array") {
            assert_eq!(keys(owner), BTreeSet::from(["pid", "process", "fd"]));
        }
    }
    let cookies = |rows: &[Value]| rows.iter().map(|row| row["cookie"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(cookies(array), cookies(&lines));
}

#[test]
fn listeners_have_backlogs_and_all_others_queues() {
    let scene = scene_or_return!();
    let rows = scene.rows(&["--no-owners"]);
    for row in &rows {
        let (backlog, queues) = ((row.backlog, row.backlog_limit), (row.recv_queue, row.send_queue));
        if row.state == State::Listen {
            assert!(backlog.0.is_some() && backlog.1.is_some() && queues == (None, None), "{row:?}");
        } else {
            assert!(backlog == (None, None) && queues.0.is_some() && queues.1.is_some(), "{row:?}");
        }
    }
    let listener = rows
        .iter()
        .find(|row| row.state == State::Listen && row.local_port == Some(scene.listener.port()))
        .expect("the listener is there");
    assert_eq!((listener.backlog, listener.backlog_limit), (Some(WAITING as u32), Some(BACKLOG as u32)));
    assert_eq!((listener.remote_address.to_string().as_str(), listener.remote_port), ("0.0.0.0", None));
    assert!(rows.iter().any(|row| row.recv_queue == Some(UNREAD.len() as u32)), "{rows:#?}");
}

#[test]
fn nobody_owns_a_mini_socket() {
    let scene = scene_or_return!();
    let net = or_skip!(Net::new());
    let (local, _) = net.run(|| time_wait(LOOPBACK));
    let list = ["list", "--format", "ndjson"];
    let rows = [scene.eleven(&list).ndjson(), net.eleven(&list).ndjson()].concat();
    let minis: Vec<&Value> =
        rows.iter().filter(|row| row["kind"] == "timewait" || row["kind"] == "request").collect();
    assert!(minis.iter().any(|row| row["kind"] == "request" && row["state"] == "SYN_RECV"), "{minis:#?}");
    assert!(
        minis.iter().any(|row| row["state"] == "TIME_WAIT" && row["local_port"] == local.port()),
        "{minis:#?}"
    );
    for row in minis {
        for key in ["uid", "user", "inode"] {
            assert!(row[key].is_null(), "{key} of {row}");
        }
        assert_eq!(row["owners"], json!([]));
    }
}

#[test]
fn a_row_names_its_owner_and_no_owners_leaves_it_out() {
    let scene = scene_or_return!();
    let me = std::process::id();
    for row in scene.rows(&["--no-owners"]) {
        assert!(row.owners.is_empty() && row.no_owner.is_none(), "{row:?}");
    }
    let held: BTreeMap<u64, u32> = scene
        .held
        .iter()
        .map(|socket| {
            let stat = rustix::fs::fstat(socket).expect("an open descriptor");
            (stat.st_ino, std::os::fd::AsRawFd::as_raw_fd(socket).unsigned_abs())
        })
        .collect();
    let mut owned = 0;
    for row in scene.rows(&[]) {
        let Some(fd) = row.inode.and_then(|inode| held.get(&inode)) else { continue };
        assert!(row.owners.iter().any(|owner| (owner.pid, owner.fd) == (me, *fd)), "{row:?}");
        owned += 1;
    }
    // All but the client at the other end of the wire.
    assert_eq!(owned, held.len() - 1);
}

#[test]
fn families_and_addresses_are_printed_plainly() {
    let scene = scene_or_return!();
    let rows = scene.rows(&["--no-owners"]);
    let text = |row: &Socket| (row.family, row.local_address.to_string());
    let shown: BTreeSet<(Family, String)> = rows.iter().map(text).collect();
    for (family, address) in [
        (Family::Inet, "127.0.0.1"),
        (Family::Inet6, "::1"),
        (Family::Inet6, "::"),
        (Family::Inet6, "::ffff:127.0.0.1"),
    ] {
        assert!(shown.contains(&(family, address.to_owned())), "{address} in {shown:?}");
    }
    let on_device: Vec<_> = rows.iter().filter(|row| row.interface.as_deref() == Some("lo")).collect();
    assert_eq!(on_device.len(), 1);
    for row in of(&rows, State::Closed) {
        assert_eq!((row.kind, row.remote_port), (SocketKind::Bound, None));
    }
}

#[test]
fn counts_add_up_and_agree_with_rows_and_with_ss() {
    let scene = scene_or_return!();
    let rows = scene.rows(&["--no-owners"]);
    for by in ["state", "family,kind", "port", "local,remote", "process", "user,state", "netns", "container"]
    {
        for reader in ["auto", "bpf", "netlink"] {
            let counted = scene.eleven(&["count", "--format", "json", "--by", by, "--reader", reader]);
            if reader == "bpf" && counted.code == Some(1) {
                skipped(&format!("no BPF here: {}", counted.stderr.trim()));
                continue;
            }
            let counted = counted.json();
            assert_eq!(counted["total"], rows.len(), "--by {by} --reader {reader}");
            let groups = counted["groups"].as_array().expect("an array");
            let sum: u64 = groups.iter().map(|group| group["count"].as_u64().expect("a number")).sum();
            assert_eq!(sum, rows.len() as u64, "--by {by} --reader {reader}");
            let expected: BTreeSet<&str> = by.split(',').chain(["count"]).collect();
            assert!(groups.iter().all(|group| keys(group) == expected), "{groups:?}");
        }
    }
    let states = scene.eleven(&["count", "--format", "json"]).json();
    for (state, count) in STATES.into_iter().filter(|(_, count)| *count > 0) {
        let group = json!({ "state": state.as_str(), "count": count });
        assert!(states["groups"].as_array().is_some_and(|groups| groups.contains(&group)), "{states}");
    }

    let mut ss = Command::new("ss");
    ss.arg("-Htan");
    if ss.output().is_err() {
        return skipped("no ss to compare with");
    }
    // ss knows no sockets that are only bound.
    let bound = rows.iter().filter(|row| row.kind == SocketKind::Bound).count();
    let lines = scene.wire.here.output(&mut ss).done().lines().count();
    assert_eq!(lines + bound, rows.len());
}

/// What every way of reading shows of a socket: state, family, ends, queue, inode, owners.
/// /proc has no cookies, no bound sockets and no limits of accept queues.
type Essence = (State, Family, String, String, Option<u32>, Option<u64>, Vec<(u32, u32)>);

#[test]
fn readers_agree() {
    let scene = scene_or_return!();
    let essence = |reader: &str| -> Result<BTreeSet<Essence>, Ran> {
        let ran = scene.eleven(&["list", "--format", "ndjson", "--reader", reader, "exclude closed"]);
        if ran.code != Some(0) {
            return Err(ran);
        }
        let rows = ran.ndjson().into_iter().map(|row| {
            let row: Socket = serde_json::from_value(row).expect("a row is a socket");
            (
                row.state,
                row.family,
                format!("{}:{:?}", row.local_address, row.local_port),
                format!("{}:{:?}", row.remote_address, row.remote_port),
                row.recv_queue.or(row.backlog),
                row.inode,
                // Others are programs that tests beside this one have begun to start: they hold what this one
                // holds until they are what they are to be.
                row.owners
                    .iter()
                    .filter(|owner| owner.pid == std::process::id())
                    .map(|owner| (owner.pid, owner.fd))
                    .collect(),
            )
        });
        Ok(rows.collect())
    };
    let netlink = essence("netlink").expect("netlink works");
    assert_eq!(essence("proc").expect("/proc works"), netlink);
    match essence("bpf") {
        Ok(bpf) => assert_eq!(bpf, netlink),
        Err(ran) => skipped(&format!("no BPF here: {}", ran.stderr.trim())),
    }
}

#[test]
fn csv_has_a_heading_and_a_line_for_each_socket() {
    let scene = scene_or_return!();
    let rows = scene.rows(&["--no-owners"]).len();
    let csv = scene.eleven(&["list", "--format", "csv", "--no-owners"]).done();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("state,recvq,sendq,local,remote,age,owner"));
    assert_eq!(lines.count(), rows);

    let csv = scene.eleven(&["count", "--format", "csv", "--by", "state,local-port", "listening"]).done();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("state,local_port,count"));
    assert_eq!(lines.count(), STATES[0].1);
}

#[test]
fn limits_sort_and_columns_do_what_they_say() {
    let scene = scene_or_return!();
    let list = |arguments: &[&str]| {
        scene.eleven(&[&["list", "--no-owners", "--format", "csv"], arguments].concat()).done()
    };
    assert_eq!(list(&["--limit", "3"]).lines().count(), 1 + 3);
    assert_eq!(list(&["--limit", "0"]).lines().count(), 1);
    assert_eq!(list(&["--limit", "3", "--sort", "recvq"]).lines().count(), 1 + 3);

    let ports = |sort| -> Vec<u16> {
        let csv = list(&["--columns", "port", "--sort", sort]);
        csv.lines().skip(1).filter_map(|line| line.parse().ok()).collect()
    };
    let (down, mut up) = (ports("port"), ports("-port"));
    assert!(down.is_sorted_by(|a, b| a >= b) && up.is_sorted(), "{down:?} {up:?}");
    up.reverse();
    assert_eq!(up, down);
    // The largest of all, not of the first few.
    assert_eq!(
        list(&["-c", "port", "-s", "port", "-n", "1"]).lines().nth(1),
        Some(down[0].to_string().as_str())
    );

    assert!(list(&["--columns", "local,state"]).starts_with("local,state\n"));
    let added = list(&["--columns", "+rtt,+user"]);
    assert!(added.starts_with("state,recvq,sendq,local,remote,age,owner,rtt,user\n"), "{added}");
    assert!(added.lines().any(|line| line.contains(" ms,")), "no round-trip time in {added}");
}

#[test]
fn info_shows_what_the_kernel_calls_tcp_info() {
    let scene = scene_or_return!();
    let rows = scene.eleven(&["list", "--info", "--no-owners", "--format", "ndjson", "established"]).ndjson();
    assert!(!rows.is_empty());
    for row in rows {
        let info = row["tcp_info"].as_object().unwrap_or_else(|| panic!("no tcp_info in {row}"));
        for name in ["tcpi_state", "tcpi_rtt", "tcpi_snd_cwnd", "tcpi_total_retrans"] {
            assert!(info.get(name).is_some_and(Value::is_number), "{name} in {info:?}");
        }
        assert!(row["congestion"].is_string(), "{row}");
    }
    let without = scene.eleven(&["list", "--no-owners", "--format", "ndjson", "established"]).ndjson();
    assert!(without.iter().all(|row| row["tcp_info"].is_null()));
    let table = scene.eleven(&["list", "--info", "--no-owners", "established"]).done();
    assert!(table.contains("snd_cwnd:") && table.contains("rtt:"), "{table}");
}

#[test]
fn the_summary_in_json_counts_the_same() {
    let scene = scene_or_return!();
    let summary = scene.eleven(&["--format", "json"]).json();
    let sum: u64 = summary["states"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|state| state["count"].as_u64())
        .sum();
    assert_eq!(summary["total"], sum);
    let listeners = summary["listeners"].as_array().expect("an array");
    assert_eq!(listeners.len(), STATES[0].1);
    // Listeners are rows like any other; who has the most waiting comes first.
    assert_eq!(listeners[0]["backlog"], WAITING);
    assert!(KEYS.iter().all(|key| keys(&listeners[0]).contains(key)), "{}", listeners[0]);
    for list in ["programs", "peers"] {
        for entry in summary[list].as_array().expect("an array") {
            assert!(entry["sockets"].is_u64() && entry["states"].is_object(), "{entry}");
        }
    }
}

#[test]
fn explanations_in_json_have_a_kind_a_name_and_a_language() {
    for (words, kind) in [
        (&["TIME_WAIT"][..], "state"),
        (&["FIN_WAIT1", "FIN+ACK"], "transition"),
        (&["SYN+FIN"], "flags"),
        (&["ECONNRESET"], "errno"),
        (&["110"], "errno"),
        (&["tcp_fin_timeout"], "sysctl"),
        (&["close-wait-leak"], "finding"),
        (&["zero-window"], "anomaly"),
    ] {
        for language in ["en", "zh-CN"] {
            let arguments = [&["explain", "--format", "json", "--lang", language], words].concat();
            let page = run(&arguments).json();
            assert_eq!((&page["kind"], &page["language"]), (&json!(kind), &json!(language)), "{words:?}");
            assert!(page["name"].is_string(), "{page}");
        }
    }
    let several = run(&["explain", "--format", "json", "LISTEN", "ECONNREFUSED"]).json();
    assert_eq!(several.as_array().map(Vec::len), Some(2));
    let anomaly = run(&["explain", "--format", "json", "zero-window"]).json();
    assert!(
        anomaly["what"].is_string() && anomaly["who"].is_string() && anomaly["next"].is_array(),
        "{anomaly}"
    );
    let namesakes = run(&["explain", "--format", "json", "syn-flood"]).json();
    assert_eq!((&namesakes[0]["kind"], &namesakes[1]["kind"]), (&json!("finding"), &json!("anomaly")));
    let all = run(&["explain", "--format", "ndjson"]).ndjson();
    let names: Vec<&str> = all.iter().filter_map(|page| page["name"].as_str()).collect();
    assert_eq!(names, State::ALL.map(State::as_str));
    let state = run(&["explain", "--format", "json", "FIN_WAIT2"]).json();
    for way in ["ways_in", "ways_out"] {
        let ways = state[way].as_array().expect("an array");
        assert!(!ways.is_empty() && ways.iter().all(|way| way["from"].is_string() && way["to"].is_string()));
    }
}

#[test]
fn a_namespace_is_found_by_name_process_and_path() {
    let net = or_skip!(Net::new());
    let named = or_skip!(Named::new(&net, "contract"));
    let listener = net.run(|| listen(LOOPBACK, 1));
    let port = address(&listener).port();
    let inhabitant = or_skip!(Inhabitant::new(&net));
    let (pid, path, inode) = (inhabitant.pid().to_string(), net.path(), net.inode().to_string());
    let filter = format!("listening and sport = {port}");
    for which in [named.name(), &pid, &path, &inode, "all"] {
        let rows = run(&[
            "list",
            "--no-owners",
            "--format",
            "ndjson",
            "--netns",
            which,
            &filter,
            "and netns",
            named.name(),
        ])
        .ndjson();
        assert_eq!(rows.len(), 1, "--netns {which}");
        assert_eq!(rows[0]["netns"], named.name(), "--netns {which}");
    }
    assert!(run(&["list", "--no-owners", "--netns", "all", &filter]).done().starts_with("NETNS"));
}

#[test]
fn timers_say_what_runs_and_when() {
    let scene = scene_or_return!();
    let rows = scene.rows(&["--no-owners", "state established and timer keepalive"]);
    assert!(!rows.is_empty(), "one connection has keepalive");
    for row in rows {
        let timer = row.timer.expect("the filter asked for it");
        assert_eq!(timer.kind, TimerKind::Keepalive);
        assert!((1..=7_200_000).contains(&timer.expires_ms), "{timer:?}");
    }
}
