//! CLOSED and LISTEN: nothing is known of a peer yet.

use crate::State;
use crate::rules::{Circumstance, Deviation, Rule};

pub(super) const RULES: &[&[Rule]] = rules! {
    // CLOSED: whatever arrives is answered so that the sender learns there is nobody here.
    [Closed] "active-open" on ActiveOpen if [RemoteKnown]
        do [CreateConnection, SendSyn, ReturnOk] => SynSent, "RFC 9293 §3.10.1";
    [Closed] "active-open-without-remote" on ActiveOpen unless [RemoteKnown]
        do [ReturnError(RemoteUnspecified)] => same, "RFC 9293 §3.10.1";
    [Closed] "passive-open" on PassiveOpen
        do [CreateConnection, ReturnOk] => Listen, "RFC 9293 §3.10.1";
    [Closed] "rst" on Segment if [Rst]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.1";
    [Closed] "segment-with-ack" on Segment if [Ack] unless [Rst]
        do [SendReset(AtTheirAck), DiscardSegment] => same, "RFC 9293 §3.10.7.1";
    [Closed] "segment-without-ack" on Segment unless [Rst Ack]
        do [SendReset(AckingTheirs), DiscardSegment] => same, "RFC 9293 §3.10.7.1";

    [Listen] "active-open" on ActiveOpen if [RemoteKnown]
        do [SendSyn, ReturnOk] => SynSent, "RFC 9293 §3.10.1",
        linux_stays Deviation::new("connect() on a listening socket fails with EISCONN (106); it stays LISTEN")
            .doing(actions!([ReturnError(ConnectionAlreadyExists)])).decided_by("inet_stream_connect");
    [Listen] "active-open-without-remote" on ActiveOpen unless [RemoteKnown]
        do [ReturnError(RemoteUnspecified)] => same, "RFC 9293 §3.10.1";
    [Listen] "send" on Send if [RemoteKnown]
        do [SendSyn, QueueCall] => SynSent, "RFC 9293 §3.10.2",
        linux_stays Deviation::new("write() on a listening socket fails with EPIPE (32); it stays LISTEN")
            .doing(actions!([ReturnError(ConnectionDoesNotExist)])).decided_by("tcp_sendmsg");
    [Listen] "send-without-remote" on Send unless [RemoteKnown]
        do [ReturnError(RemoteUnspecified)] => same, "RFC 9293 §3.10.2";
    [Listen] "close" on Close
        do [FailPendingCalls(ConnectionClosing), DeleteConnection, ReturnOk] => Closed, "RFC 9293 §3.10.4",
        linux Deviation::new("connections waiting in the accept queue are reset; requests in SYN_RECV stay listed \
            until they time out, and a late ACK to one gets RST")
            .decided_by("inet_csk_listen_stop");
    [Listen] "shutdown" on Shutdown
        do [FailPendingCalls(ConnectionClosing), DeleteConnection, ReturnOk] => Closed, "RFC 9293 §3.10.4",
        linux_stays Deviation::new("shutdown(SHUT_WR) leaves a listening socket as it is; only SHUT_RD or \
            SHUT_RDWR ends it")
            .doing(actions!([ReturnOk])).decided_by("inet_shutdown");
    [Listen] "abort" on Abort
        do [FailPendingCalls(ConnectionReset), DeleteConnection, ReturnOk] => Closed, "RFC 9293 §3.10.5";
    [Listen] "rst" on Segment if [Rst]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.2 (first)";
    [Listen] "ack" on Segment if [Ack] unless [Rst]
        do [SendReset(AtTheirAck), DiscardSegment] => same, "RFC 9293 §3.10.7.2 (second)",
        linux Deviation::new("an ACK that returns a valid SYN cookie opens a connection that no SYN_RECV preceded")
            .to(State::Established).doing(actions!([LearnPeer, AcceptAck, SignalOpen]))
            .when(Circumstance::Outside).decided_by("net.ipv4.tcp_syncookies");
    [Listen] "syn" on Segment if [Syn] unless [Rst Ack]
        do [LearnPeer, HoldForLater, SendSynAck] => SynReceived, "RFC 9293 §3.10.7.2 (third)",
        linux Deviation::new("the listening socket stays LISTEN and a request mini-socket is in SYN_RECV, or none with \
            SYN cookies; SYN+FIN, and any SYN while the accept queue is full, is dropped")
            .decided_by("net.ipv4.tcp_max_syn_backlog, net.ipv4.tcp_syncookies, net.core.somaxconn");
    [Listen] "neither-syn-nor-ack" on Segment unless [Rst Ack Syn]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.2 (fourth)";
};
