//! What a rule does besides changing the state.

use core::fmt;

/// One step of what this side does when a rule applies, in the order listed by the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Create the record of the connection (the RFC's TCB) and fill in the sockets.
    CreateConnection,
    /// Delete the record of the connection; timers and queues go with it.
    DeleteConnection,
    /// Choose an initial sequence number and send SYN.
    SendSyn,
    /// Send SYN+ACK, choosing an initial sequence number where none is chosen yet.
    SendSynAck,
    /// Send an ACK of what is expected next: SEQ = SND.NXT, ACK = RCV.NXT.
    SendAck,
    /// Send the same ACK as a question: a genuine peer that has lost its state answers it
    /// with an exact RST (RFC 5961). Rate-limited (RFC 5961 §7).
    SendChallengeAck,
    /// Send what the peer's window and congestion control allow of the queued text, and the
    /// FIN behind it where this side has closed.
    SendText,
    /// Send FIN+ACK behind the queued text, once all of that is sent.
    SendFin,
    /// Send a reset.
    SendReset(ResetForm),
    /// Send again the first unacknowledged segment and double the timeout.
    Retransmit,
    /// Send a segment that provokes an answer although the peer's window is zero.
    SendWindowProbe,
    /// Send an ACK at SND.NXT − 1, which a living peer answers.
    SendKeepaliveProbe,
    /// Drop the segment, with its text and its other controls.
    DiscardSegment,
    /// Take over the peer's initial sequence number, window and options.
    LearnPeer,
    /// Forget the peer and everything sent to it, and wait for any peer again.
    ForgetPeer,
    /// Let the acknowledgment count: advance SND.UNA, clear the retransmission queue, update
    /// the send window. One older than SND.UNA changes nothing.
    AcceptAck,
    /// Hand text in sequence to the program and acknowledge it; hold text behind a gap; answer
    /// text there is no room for with an ACK of what is expected next.
    DeliverText,
    /// Advance RCV.NXT over the FIN and acknowledge it.
    ConsumeFin,
    /// Keep the segment's text and FIN until the connection is open, then handle them as a
    /// segment that arrives in ESTABLISHED.
    HoldForLater,
    /// Start or restart the 2·MSL timer and stop all others.
    StartTimeWaitTimer,
    /// Keep the call until the connection is open.
    QueueCall,
    /// Let the call end well.
    ReturnOk,
    /// Hand over received text, or let the call wait until there is some.
    ReturnText,
    /// Tell the state.
    ReturnState,
    /// Let the call fail.
    ReturnError(Failure),
    /// Let the calls fail that are still waiting.
    FailPendingCalls(Failure),
    /// Tell the program, whether or not a call is waiting.
    Signal(Failure),
    /// Tell the program that the connection is open.
    SignalOpen,
    /// Tell the program, and the calls that wait for text, that the peer will send no more:
    /// end of file.
    SignalPeerClosed,
}

/// The three ways to number a reset (RFC 9293 §3.5.2, §3.10.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetForm {
    /// SEQ = SEG.ACK, no ACK: answers a segment that has an ACK.
    AtTheirAck,
    /// SEQ = 0, ACK = SEG.SEQ + SEG.LEN: answers a segment that has no ACK.
    AckingTheirs,
    /// SEQ = SND.NXT: ends a connection of one's own.
    AtSendNext,
}

/// What a program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// There is no connection the call could be about.
    ConnectionDoesNotExist,
    /// The connection the call wants to open is there already.
    ConnectionAlreadyExists,
    /// This side has closed, or the peer has and everything it sent was read.
    ConnectionClosing,
    /// An active OPEN, or a SEND in LISTEN, without a remote socket.
    RemoteUnspecified,
    /// The peer, or this program, has reset the connection.
    ConnectionReset,
    /// The peer has answered the SYN with a reset.
    ConnectionRefused,
    /// Nothing was acknowledged for too long.
    TimedOut,
    /// The network has reported that the peer cannot be reached this way.
    Unreachable,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectionDoesNotExist => "connection does not exist",
            Self::ConnectionAlreadyExists => "connection already exists",
            Self::ConnectionClosing => "connection closing",
            Self::RemoteUnspecified => "remote socket unspecified",
            Self::ConnectionReset => "connection reset",
            Self::ConnectionRefused => "connection refused",
            Self::TimedOut => "connection timed out",
            Self::Unreachable => "peer unreachable",
        })
    }
}

impl Action {
    /// What the action puts on the wire, for the actions that send: `SYN+ACK`, `RST`.
    pub const fn sends(self) -> Option<&'static str> {
        Some(match self {
            Self::SendSyn => "SYN",
            Self::SendSynAck => "SYN+ACK",
            Self::SendAck | Self::ConsumeFin => "ACK",
            Self::SendChallengeAck => "challenge ACK",
            Self::SendText => "text",
            Self::SendFin => "FIN",
            Self::SendReset(ResetForm::AckingTheirs) => "RST+ACK",
            Self::SendReset(ResetForm::AtTheirAck | ResetForm::AtSendNext) => "RST",
            Self::Retransmit => "the oldest unacknowledged segment again",
            Self::SendWindowProbe => "window probe",
            Self::SendKeepaliveProbe => "keepalive probe",
            Self::CreateConnection
            | Self::DeleteConnection
            | Self::DiscardSegment
            | Self::LearnPeer
            | Self::ForgetPeer
            | Self::AcceptAck
            | Self::DeliverText
            | Self::HoldForLater
            | Self::StartTimeWaitTimer
            | Self::QueueCall
            | Self::ReturnOk
            | Self::ReturnText
            | Self::ReturnState
            | Self::ReturnError(_)
            | Self::FailPendingCalls(_)
            | Self::Signal(_)
            | Self::SignalOpen
            | Self::SignalPeerClosed => return None,
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateConnection => f.write_str("create connection"),
            Self::DeleteConnection => f.write_str("delete connection"),
            Self::SendSyn => f.write_str("send SYN"),
            Self::SendSynAck => f.write_str("send SYN+ACK"),
            Self::SendAck => f.write_str("send ACK"),
            Self::SendChallengeAck => f.write_str("send challenge ACK"),
            Self::SendText => f.write_str("send text"),
            Self::SendFin => f.write_str("send FIN behind queued text"),
            Self::SendReset(ResetForm::AtTheirAck) => f.write_str("send RST (SEQ=SEG.ACK)"),
            Self::SendReset(ResetForm::AckingTheirs) => {
                f.write_str("send RST+ACK (SEQ=0, ACK=SEG.SEQ+SEG.LEN)")
            }
            Self::SendReset(ResetForm::AtSendNext) => f.write_str("send RST (SEQ=SND.NXT)"),
            Self::Retransmit => f.write_str("send the oldest unacknowledged segment again"),
            Self::SendWindowProbe => f.write_str("send window probe"),
            Self::SendKeepaliveProbe => f.write_str("send keepalive probe"),
            Self::DiscardSegment => f.write_str("drop segment"),
            Self::LearnPeer => f.write_str("learn the peer's sequence number, window and options"),
            Self::ForgetPeer => f.write_str("forget the peer"),
            Self::AcceptAck => f.write_str("accept acknowledgment"),
            Self::DeliverText => f.write_str("deliver text"),
            Self::ConsumeFin => f.write_str("acknowledge FIN"),
            Self::HoldForLater => f.write_str("hold text and FIN until open"),
            Self::StartTimeWaitTimer => f.write_str("start 2MSL timer"),
            Self::QueueCall => f.write_str("queue call until open"),
            Self::ReturnOk => f.write_str("return ok"),
            Self::ReturnText => f.write_str("return received text"),
            Self::ReturnState => f.write_str("return state"),
            Self::ReturnError(failure) => write!(f, "return error: {failure}"),
            Self::FailPendingCalls(failure) => write!(f, "fail waiting calls: {failure}"),
            Self::Signal(failure) => write!(f, "tell the program: {failure}"),
            Self::SignalOpen => f.write_str("tell the program: open"),
            Self::SignalPeerClosed => f.write_str("tell the program: peer has closed"),
        }
    }
}
