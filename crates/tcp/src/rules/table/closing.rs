//! FIN_WAIT1, FIN_WAIT2, CLOSING, LAST_ACK and TIME_WAIT: this side has closed.

use crate::State;
use crate::rules::{Circumstance, Deviation, Rule};

const NO_TIME_WAIT_LEFT: Deviation =
    Deviation::new("straight to CLOSED where as many sockets are in TIME_WAIT as allowed")
        .to(State::Closed)
        .when(Circumstance::Outside)
        .decided_by("net.ipv4.tcp_max_tw_buckets");

pub(super) const RULES: &[&[Rule]] = rules! {
    [FinWait1 FinWait2] "close" on Close unless [UnreadText]
        do [ReturnError(ConnectionClosing)] => same, "RFC 9293 §3.10.4",
        linux Deviation::new("close() after shutdown() succeeds; from then on new text is answered with RST, and \
            FIN_WAIT2 lasts at most tcp_fin_timeout")
            .doing(actions!([ReturnOk])).decided_by("net.ipv4.tcp_fin_timeout, TCP_LINGER2");
    [FinWait1 FinWait2] "close-with-text-unread" on Close if [UnreadText]
        do [SendReset(AtSendNext), DeleteConnection, ReturnOk] => Closed, "RFC 9293 §3.6.1 (SHLD-3)";
    [FinWait1 FinWait2] "abort" on Abort
        do [SendReset(AtSendNext), FailPendingCalls(ConnectionReset), DeleteConnection, ReturnOk] => Closed,
        "RFC 9293 §3.10.5";
    [Closing LastAck TimeWait] "abort" on Abort
        do [DeleteConnection, ReturnOk] => Closed, "RFC 9293 §3.10.5";

    [FinWait1] "ack" on Segment if [Acceptable Ack AckAcceptable] unless [Rst Syn AcksOurFin Fin TextAfterClose]
        do [AcceptAck, DeliverText, SendText] => same, "RFC 9293 §3.10.7.4 (fifth to seventh)";
    [FinWait1] "fin-acked" on Segment if [Acceptable Ack AckAcceptable AcksOurFin]
        unless [Rst Syn Fin TextAfterClose]
        do [AcceptAck, DeliverText] => FinWait2, "RFC 9293 §3.10.7.4 (fifth)",
        linux Deviation::new("after close() the socket becomes a mini-socket that lives for tcp_fin_timeout; a negative \
            TCP_LINGER2 closes it at once")
            .decided_by("net.ipv4.tcp_fin_timeout, TCP_LINGER2");
    [FinWait1] "fin" on Segment if [Acceptable Ack AckAcceptable Fin] unless [Rst Syn AcksOurFin TextAfterClose]
        do [AcceptAck, DeliverText, ConsumeFin, SignalPeerClosed, SendText] => Closing,
        "RFC 9293 §3.10.7.4 (eighth)";
    [FinWait1] "fin-acked-and-fin" on Segment if [Acceptable Ack AckAcceptable AcksOurFin Fin]
        unless [Rst Syn TextAfterClose]
        do [AcceptAck, DeliverText, ConsumeFin, SignalPeerClosed, StartTimeWaitTimer] => TimeWait,
        "RFC 9293 §3.10.7.4 (fifth, eighth)", linux NO_TIME_WAIT_LEFT;
    [FinWait1 FinWait2] "text-after-close" on Segment if [Acceptable Ack AckAcceptable TextAfterClose]
        unless [Rst Syn]
        do [SendReset(AtTheirAck), DeleteConnection] => Closed, "RFC 9293 §3.6.1 (SHLD-3)";

    [FinWait2] "ack" on Segment if [Acceptable Ack AckAcceptable] unless [Rst Syn Fin TextAfterClose]
        do [AcceptAck, DeliverText] => same, "RFC 9293 §3.10.7.4 (fifth to seventh)";
    [FinWait2] "fin" on Segment if [Acceptable Ack AckAcceptable Fin] unless [Rst Syn TextAfterClose]
        do [AcceptAck, DeliverText, ConsumeFin, SignalPeerClosed, StartTimeWaitTimer] => TimeWait,
        "RFC 9293 §3.10.7.4 (eighth)", linux NO_TIME_WAIT_LEFT;
    [FinWait2] "fin-wait-2-timeout" on FinWait2Timeout
        do [DeleteConnection] => Closed, "not in RFC 9293",
        linux Deviation::new("only after close(), never after shutdown(SHUT_WR) alone; a FIN that comes later gets RST")
            .decided_by("net.ipv4.tcp_fin_timeout, TCP_LINGER2");

    [Closing] "ack" on Segment if [Acceptable Ack AckAcceptable] unless [Rst Syn AcksOurFin]
        do [AcceptAck, SendText] => same, "RFC 9293 §3.10.7.4 (fifth)";
    [Closing] "fin-acked" on Segment if [Acceptable Ack AckAcceptable AcksOurFin] unless [Rst Syn]
        do [AcceptAck, StartTimeWaitTimer] => TimeWait, "RFC 9293 §3.10.7.4 (fifth)", linux NO_TIME_WAIT_LEFT;

    [LastAck] "ack" on Segment if [Acceptable Ack AckAcceptable] unless [Rst Syn AcksOurFin]
        do [AcceptAck, SendText] => same, "RFC 9293 §3.10.7.4 (fifth)";
    [LastAck] "fin-acked" on Segment if [Acceptable Ack AckAcceptable AcksOurFin] unless [Rst Syn]
        do [AcceptAck, DeleteConnection] => Closed, "RFC 9293 §3.10.7.4 (fifth)";

    // Answering a plain ACK here would let two sides in TIME_WAIT, as a simultaneous
    // close leaves them, answer each other for ever.
    [TimeWait] "ack" on Segment if [Acceptable Ack AckAcceptable] unless [Rst Syn Fin]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fifth)",
        linux Deviation::new("an ACK without text starts the 2MSL timer anew; one with text is answered as well")
            .doing(actions!([StartTimeWaitTimer])).when(Circumstance::WithoutText).decided_by("tcp_timewait_state_process");
    [TimeWait] "fin" on Segment if [Acceptable Ack AckAcceptable Fin] unless [Rst Syn]
        do [SendAck, StartTimeWaitTimer] => same, "RFC 9293 §3.10.7.4 (fifth, eighth)";
    [TimeWait] "time-wait-timeout" on TimeWaitTimeout
        do [DeleteConnection] => Closed, "RFC 9293 §3.10.8",
        linux Deviation::new("after 60 s whatever tcp_fin_timeout says: TCP_TIMEWAIT_LEN is a constant")
            .decided_by("TCP_TIMEWAIT_LEN");
};
