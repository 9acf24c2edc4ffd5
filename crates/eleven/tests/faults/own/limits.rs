//! Limits of a host's kernel. Those that are one for all namespaces are left alone.

use std::mem::size_of;

use eleven_testbed::namespace::Net;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, netlink, send, socket_with};

use super::set;
use crate::row::{Fault, Row, Skip, Who};

const MAX: &str = "net.netfilter.nf_conntrack_max";
const TIMEOUT: &str = "net.netfilter.nf_conntrack_tcp_timeout_established";

pub(super) fn rows() -> Vec<Row> {
    let of_host = |name: &'static str| {
        move |_: &Net| -> Result<Fault, Skip> {
            Err(Skip(format!("{name} is one for all namespaces, and nothing outside of ours is changed")))
        }
    };
    vec![
        Row::fault("tracking-table-full", "conntrack-full", "configuration", Who::Sysctl(MAX), |net| {
            fill(net, 95)
        }),
        Row::healthy("tracking-table-half-full", |net| fill(net, 10)),
        Row::fault(
            "tracking-forgets-first",
            "idle-timeout-order",
            "configuration",
            Who::Sysctl(TIMEOUT),
            |net| {
                set(net, TIMEOUT, "600")?;
                track(net, 100)?;
                Ok(Fault::of(()))
            },
        ),
        Row::fault("orphans", "orphans-high", "peer", Who::Host, of_host("net.ipv4.tcp_max_orphans")),
        Row::fault("buffers", "memory-pressure", "local-kernel", Who::Host, of_host("net.ipv4.tcp_mem")),
    ]
}

/// Fills the table of connection tracking up to this share, in per cent.
fn fill(net: &Net, share: u32) -> Result<Fault, Skip> {
    let path = format!("/proc/sys/{}", MAX.replace('.', "/"));
    let max = net.run(|| std::fs::read_to_string(path)).map_err(|_| "this kernel tracks no connections")?;
    let max: u32 = max.trim().parse().map_err(|_| "the size of the table is no number")?;
    if max > 300_000 {
        return Err(Skip(format!("{MAX} is {max}: filling it would take hundreds of megabytes")));
    }
    track(net, max / 100 * share)?;
    Ok(Fault::of(()))
}

/// Enters flows into the table, as `conntrack --create` does.
fn track(net: &Net, flows: u32) -> Result<(), Skip> {
    const AT_ONCE: u32 = 100;
    net.run(|| {
        let family = AddressFamily::NETLINK;
        let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
        bind(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        for first in (0..flows).step_by(AT_ONCE as usize) {
            let messages: Vec<u8> = (first..flows.min(first + AT_ONCE)).flat_map(new_flow).collect();
            send(&socket, &messages, SendFlags::empty())?;
        }
        Ok(())
    })
    .map_err(|error: rustix::io::Errno| Skip(format!("flows cannot be entered: {error}")))?;
    let path = "/proc/sys/net/netfilter/nf_conntrack_count";
    let count = net.run(|| std::fs::read_to_string(path)).unwrap_or_default();
    let count: u32 = count.trim().parse().unwrap_or(0);
    if count < flows / 10 * 9 { Err(Skip(format!("of {flows} flows {count} were entered"))) } else { Ok(()) }
}

/// `IPCTNL_MSG_CT_NEW` of a TCP connection in ESTABLISHED (`linux/netfilter/nfnetlink_conntrack.h`).
fn new_flow(number: u32) -> Vec<u8> {
    const NESTED: u16 = 1 << 15;
    let attribute = |kind: u16, body: &[u8]| {
        let length = u16::try_from(4 + body.len()).expect("it is short");
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let nested = |kind: u16, parts: &[Vec<u8>]| attribute(kind | NESTED, &parts.concat());
    let (client, server) = ((0x0a00_0000 + number).to_be_bytes(), [192, 0, 2, 1]);
    let (client_port, server_port) = (40_000_u16.to_be_bytes(), 443_u16.to_be_bytes());
    let tuple = |kind: u16, from: ([u8; 4], [u8; 2]), to: ([u8; 4], [u8; 2])| {
        let addresses = nested(1, &[attribute(1, &from.0), attribute(2, &to.0)]);
        let ports = nested(2, &[attribute(1, &[6]), attribute(2, &from.1), attribute(3, &to.1)]);
        nested(kind, &[addresses, ports])
    };
    let (client, server) = ((client, client_port), (server, server_port));
    let state = nested(4, &[nested(1, &[attribute(1, &[3])])]);
    let body = [
        vec![2, 0, 0, 0],
        tuple(1, client, server),
        tuple(2, server, client),
        state,
        attribute(7, &600_u32.to_be_bytes()),
    ]
    .concat();
    // NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL.
    let length = u32::try_from(4 * size_of::<u32>() + body.len()).expect("it is short");
    let mut message = length.to_ne_bytes().to_vec();
    message.extend([0x100_u16.to_ne_bytes(), 0x601_u16.to_ne_bytes()].concat());
    message.extend([0; 8]);
    message.extend(body);
    message
}
