//! SYN_SENT and SYN_RECV: our SYN is out, its acknowledgment is not in.

use crate::State;
use crate::rules::{Circumstance, Deviation, Rule};

pub(super) const RULES: &[&[Rule]] = rules! {
    [SynSent] "close" on Close
        do [FailPendingCalls(ConnectionClosing), DeleteConnection, ReturnOk] => Closed, "RFC 9293 §3.10.4";
    [SynSent] "shutdown" on Shutdown
        do [FailPendingCalls(ConnectionClosing), DeleteConnection, ReturnOk] => Closed, "RFC 9293 §3.10.4";
    [SynSent] "abort" on Abort
        do [FailPendingCalls(ConnectionReset), DeleteConnection, ReturnOk] => Closed, "RFC 9293 §3.10.5";

    // A reset or a SYN counts only if it proves, by acknowledging our SYN, that its sender
    // has seen it; a SYN without ACK is a peer that opens at the same moment.
    [SynSent] "rst-refuses" on Segment if [Rst Ack AckAcceptable]
        do [FailPendingCalls(ConnectionReset), Signal(ConnectionReset), DeleteConnection] => Closed,
        "RFC 9293 §3.10.7.3 (second)",
        linux Deviation::new("connect() fails with ECONNREFUSED (111), not with a reset");
    [SynSent] "rst-bad-ack" on Segment if [Rst Ack] unless [AckAcceptable]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.3 (first)";
    [SynSent] "rst-without-ack" on Segment if [Rst] unless [Ack]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.3 (second)";
    [SynSent] "bad-ack" on Segment if [Ack] unless [Rst AckAcceptable]
        do [SendReset(AtTheirAck), DiscardSegment] => same, "RFC 9293 §3.10.7.3 (first)",
        linux Deviation::new("after the RST the SYN is sent again at once instead of after the timeout")
            .doing(actions!([SendReset(AtTheirAck), DiscardSegment, Retransmit]))
            .decided_by("tcp_rcv_synsent_state_process");
    [SynSent] "syn-ack" on Segment if [Syn Ack AckAcceptable] unless [Rst Fin]
        do [LearnPeer, AcceptAck, SignalOpen, DeliverText, SendAck, SendText] => Established,
        "RFC 9293 §3.10.7.3 (fourth)";
    [SynSent] "syn-ack-and-fin" on Segment if [Syn Ack AckAcceptable Fin] unless [Rst]
        do [LearnPeer, AcceptAck, SignalOpen, DeliverText, ConsumeFin, SignalPeerClosed, SendText] => CloseWait,
        "RFC 9293 §3.10.7.3 (fourth), §3.10.7.4 (eighth)",
        linux Deviation::new("without Fast Open the FIN is not looked at; the peer has to send it again")
            .to(State::Established).doing(actions!([LearnPeer, AcceptAck, SignalOpen, SendAck, SendText]))
            .when(Circumstance::WithoutFastOpen).decided_by("tcp_rcv_state_process");
    [SynSent] "simultaneous-open" on Segment if [Syn] unless [Rst Ack]
        do [LearnPeer, HoldForLater, SendSynAck] => SynReceived, "RFC 9293 §3.10.7.3 (fourth), §3.5 (MUST-10)",
        linux Deviation::new("text or FIN that comes with the SYN is dropped, not held");
    [SynSent] "ack-without-syn" on Segment if [Ack AckAcceptable] unless [Rst Syn]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.3 (fifth)";
    [SynSent] "neither-syn-nor-ack" on Segment unless [Rst Syn Ack]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.3 (fifth)";

    [SynReceived] "close" on Close unless [TextQueued]
        do [SendFin, ReturnOk] => FinWait1, "RFC 9293 §3.10.4",
        linux Deviation::new("after a simultaneous open the FIN leaves only when our SYN is acknowledged; a passive \
            SYN_RECV belongs to no program that could close it")
            .decided_by("tcp_close");
    [SynReceived] "close-with-text-queued" on Close if [TextQueued]
        do [QueueCall] => same, "RFC 9293 §3.10.4",
        linux Deviation::new("FIN_WAIT1 at once; text and FIN leave when our SYN is acknowledged")
            .to(State::FinWait1).doing(actions!([SendFin, ReturnOk])).decided_by("tcp_close");
    [SynReceived] "shutdown" on Shutdown unless [TextQueued]
        do [SendFin, ReturnOk] => FinWait1, "RFC 9293 §3.10.4",
        linux_stays Deviation::new("in kernels since 2024 the half-close waits until ESTABLISHED")
            .doing(actions!([QueueCall, ReturnOk])).decided_by("tcp_shutdown");
    [SynReceived] "shutdown-with-text-queued" on Shutdown if [TextQueued]
        do [QueueCall] => same, "RFC 9293 §3.10.4";
    [SynReceived] "abort" on Abort
        do [SendReset(AtSendNext), FailPendingCalls(ConnectionReset), DeleteConnection, ReturnOk] => Closed,
        "RFC 9293 §3.10.5";

    [SynReceived] "rst-outside-window" on Segment if [Rst] unless [Acceptable]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.4 (first), RFC 5961 §3.2";
    [SynReceived] "rst-in-window" on Segment if [Rst Acceptable] unless [Exact]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (second), RFC 5961 §3.2";
    [SynReceived] "rst-after-passive-open" on Segment if [Rst Acceptable Exact PassiveOpen]
        do [ForgetPeer] => Listen, "RFC 9293 §3.10.7.4 (second)",
        linux Deviation::new("the request mini-socket vanishes; the listening socket has been LISTEN all the time")
            .to(State::Closed).decided_by("tcp_check_req");
    [SynReceived] "rst-after-active-open" on Segment if [Rst Acceptable Exact] unless [PassiveOpen]
        do [FailPendingCalls(ConnectionRefused), Signal(ConnectionRefused), DeleteConnection] => Closed,
        "RFC 9293 §3.10.7.4 (second)",
        linux Deviation::new("the program gets ECONNRESET (104), not ECONNREFUSED (111)").decided_by("tcp_reset");
    [SynReceived] "outside-window" on Segment unless [Rst Acceptable CrossingSynAck]
        do [SendAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (first)",
        linux Deviation::new("a repeated SYN gets the SYN+ACK again, not an ACK")
            .doing(actions!([SendSynAck, DiscardSegment])).when(Circumstance::SynRepeated).decided_by("tcp_check_req");
    [SynReceived] "crossing-syn-ack" on Segment if [CrossingSynAck]
        do [AcceptAck, SignalOpen, DeliverText, SendAck, SendText] => Established,
        "RFC 9293 §3.5 (figure 7, MUST-10)";
    [SynReceived] "syn-after-passive-open" on Segment if [Syn Acceptable PassiveOpen] unless [Rst]
        do [ForgetPeer] => Listen, "RFC 9293 §3.10.7.4 (fourth)",
        linux Deviation::new("the SYN gets RST and the request mini-socket vanishes")
            .to(State::Closed).doing(actions!([SendReset(AckingTheirs), DeleteConnection]))
            .decided_by("tcp_check_req");
    [SynReceived] "syn-after-active-open" on Segment if [Syn Acceptable] unless [Rst PassiveOpen]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fourth), RFC 5961 §4.2";
    [SynReceived] "no-ack" on Segment if [Acceptable] unless [Rst Syn Ack]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fifth)";
    [SynReceived] "bad-ack" on Segment if [Acceptable Ack] unless [Rst Syn AckAcceptable]
        do [SendReset(AtTheirAck), DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fifth)";
    [SynReceived] "ack" on Segment if [Acceptable Ack AckAcceptable] unless [Rst Syn Fin]
        do [AcceptAck, SignalOpen, DeliverText, SendText] => Established, "RFC 9293 §3.10.7.4 (fifth)",
        linux_stays Deviation::new("stays SYN_RECV while TCP_DEFER_ACCEPT waits for text, or while the accept queue \
            is full; with tcp_abort_on_overflow=1 a full accept queue resets")
            .doing(actions!([DiscardSegment]))
            .when(Circumstance::Outside).decided_by("TCP_DEFER_ACCEPT, net.core.somaxconn, net.ipv4.tcp_abort_on_overflow");
    [SynReceived] "ack-and-fin" on Segment if [Acceptable Ack AckAcceptable Fin] unless [Rst Syn]
        do [AcceptAck, SignalOpen, DeliverText, ConsumeFin, SignalPeerClosed, SendText] => CloseWait,
        "RFC 9293 §3.10.7.4 (fifth, eighth)";
};
