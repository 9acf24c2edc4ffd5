//! ESTABLISHED and CLOSE_WAIT: this side may still send.

use crate::rules::Rule;

pub(super) const RULES: &[&[Rule]] = rules! {
    [Established] "close" on Close unless [UnreadText]
        do [SendText, SendFin, ReturnOk] => FinWait1, "RFC 9293 §3.10.4";
    [CloseWait] "close" on Close unless [UnreadText]
        do [SendText, SendFin, ReturnOk] => LastAck, "RFC 9293 §3.10.4";
    // Text the program will never read is lost, and the peer must not believe it was taken.
    [Established CloseWait] "close-with-text-unread" on Close if [UnreadText]
        do [SendReset(AtSendNext), DeleteConnection, ReturnOk] => Closed, "RFC 9293 §3.6.1 (SHLD-3)";
    [Established] "shutdown" on Shutdown
        do [SendText, SendFin, ReturnOk] => FinWait1, "RFC 9293 §3.10.4";
    [CloseWait] "shutdown" on Shutdown
        do [SendText, SendFin, ReturnOk] => LastAck, "RFC 9293 §3.10.4";
    [Established CloseWait] "abort" on Abort
        do [SendReset(AtSendNext), FailPendingCalls(ConnectionReset), DeleteConnection, ReturnOk] => Closed,
        "RFC 9293 §3.10.5";

    [Established] "ack" on Segment if [Acceptable Ack AckAcceptable] unless [Rst Syn Fin]
        do [AcceptAck, DeliverText, SendText] => same, "RFC 9293 §3.10.7.4 (fifth to seventh)";
    [Established] "fin" on Segment if [Acceptable Ack AckAcceptable Fin] unless [Rst Syn]
        do [AcceptAck, DeliverText, ConsumeFin, SignalPeerClosed, SendText] => CloseWait,
        "RFC 9293 §3.10.7.4 (eighth)";
    // The peer has sent its FIN: there can be no new text and no new FIN.
    [CloseWait] "ack" on Segment if [Acceptable Ack AckAcceptable] unless [Rst Syn]
        do [AcceptAck, SendText] => same, "RFC 9293 §3.10.7.4 (fifth to eighth)";
};
