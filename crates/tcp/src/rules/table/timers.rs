//! Timers, and errors the network reports: what ends a connection whose peer is silent.

use crate::rules::{Deviation, Rule};

const ICMP_WHILE_OPEN: Deviation = Deviation::new(
    "in a synchronized state a hard error is only remembered (RFC 5927); with IP_RECVERR the program is told at once",
)
.doing(&[])
.decided_by("tcp_v4_err, IP_RECVERR");

pub(super) const RULES: &[&[Rule]] = rules! {
    [SynSent SynReceived Established FinWait1 CloseWait Closing LastAck] "retransmission-timeout"
        on RetransmissionTimeout do [Retransmit] => same, "RFC 9293 §3.10.8, RFC 6298 §5";
    [SynSent] "retransmissions-exhausted" on RetransmissionsExhausted
        do [FailPendingCalls(TimedOut), Signal(TimedOut), DeleteConnection] => Closed, "RFC 9293 §3.8.3",
        linux Deviation::new("connect() fails with ETIMEDOUT (110) after tcp_syn_retries")
            .decided_by("net.ipv4.tcp_syn_retries");
    [SynReceived] "retransmissions-exhausted" on RetransmissionsExhausted
        do [FailPendingCalls(TimedOut), Signal(TimedOut), DeleteConnection] => Closed, "RFC 9293 §3.8.3",
        linux Deviation::new("after a passive open no program is told: the request mini-socket vanishes after \
            tcp_synack_retries")
            .doing(actions!([DeleteConnection])).decided_by("net.ipv4.tcp_synack_retries");
    [Established CloseWait] "retransmissions-exhausted" on RetransmissionsExhausted
        do [FailPendingCalls(TimedOut), Signal(TimedOut), DeleteConnection] => Closed, "RFC 9293 §3.8.3",
        linux Deviation::new("ETIMEDOUT (110) after tcp_retries2, about 15 minutes by default")
            .decided_by("net.ipv4.tcp_retries2");
    [FinWait1 Closing LastAck] "retransmissions-exhausted" on RetransmissionsExhausted
        do [FailPendingCalls(TimedOut), Signal(TimedOut), DeleteConnection] => Closed, "RFC 9293 §3.8.3",
        linux Deviation::new("after close() already after tcp_orphan_retries, where 0 acts as 8")
            .decided_by("net.ipv4.tcp_orphan_retries");
    [SynSent SynReceived Established FinWait1 CloseWait Closing LastAck] "user-timeout" on UserTimeout
        do [FailPendingCalls(TimedOut), Signal(TimedOut), DeleteConnection] => Closed, "RFC 9293 §3.10.8",
        linux Deviation::new("only where the program has set TCP_USER_TIMEOUT").decided_by("TCP_USER_TIMEOUT");
    // However long the window stays zero: a peer that answers the probes is alive.
    [Established FinWait1 CloseWait Closing LastAck] "persist-timeout" on PersistTimeout
        do [SendWindowProbe] => same, "RFC 9293 §3.8.6.1 (MUST-36, MUST-37)",
        linux Deviation::new("gives up after tcp_retries2 probes without an answer, and after close() with \
            tcp_orphan_retries even if the peer answers")
            .decided_by("net.ipv4.tcp_retries2, net.ipv4.tcp_orphan_retries");
    [Established FinWait2 CloseWait] "keepalive-timeout" on KeepaliveTimeout
        do [SendKeepaliveProbe] => same, "RFC 9293 §3.8.4",
        linux Deviation::new("only where the program has set SO_KEEPALIVE")
            .decided_by("SO_KEEPALIVE, net.ipv4.tcp_keepalive_time, net.ipv4.tcp_keepalive_intvl");
    [Established FinWait2 CloseWait] "keepalive-exhausted" on KeepaliveExhausted
        do [FailPendingCalls(TimedOut), Signal(TimedOut), DeleteConnection] => Closed, "RFC 9293 §3.8.4",
        linux Deviation::new("a RST is sent as well; the program gets ETIMEDOUT (110)")
            .doing(actions!([SendReset(AtSendNext), FailPendingCalls(TimedOut), Signal(TimedOut), DeleteConnection]))
            .decided_by("net.ipv4.tcp_keepalive_probes");

    [SynSent SynReceived] "icmp-hard-error" on IcmpHardError
        do [FailPendingCalls(Unreachable), Signal(Unreachable), DeleteConnection] => Closed,
        "RFC 9293 §3.9.2.2 (SHLD-26)";
    [Established FinWait1 FinWait2 CloseWait] "icmp-hard-error" on IcmpHardError
        do [FailPendingCalls(Unreachable), Signal(Unreachable), DeleteConnection] => Closed,
        "RFC 9293 §3.9.2.2 (SHLD-26)", linux_stays ICMP_WHILE_OPEN;
    [Closing LastAck] "icmp-hard-error" on IcmpHardError
        do [DeleteConnection] => Closed, "RFC 9293 §3.9.2.2 (SHLD-26)", linux_stays ICMP_WHILE_OPEN;
    [TimeWait] "icmp-hard-error" on IcmpHardError
        do [DeleteConnection] => Closed, "RFC 9293 §3.9.2.2 (SHLD-26)",
        linux_stays Deviation::new("ignored: TIME_WAIT lasts its time").doing(&[]).decided_by("tcp_v4_err");
};
