//! The checks every synchronized state makes before it looks at the acknowledgment
//! (RFC 9293 §3.10.7.4, first to fifth, as tightened by RFC 5961).

use crate::State;
use crate::rules::{Circumstance, Deviation, Rule};

const RATE_LIMITED: Deviation = Deviation::new("no second answer within the rate limit, 500 ms by default")
    .decided_by("net.ipv4.tcp_invalid_ratelimit");

pub(super) const RULES: &[&[Rule]] = rules! {
    [Established FinWait1 FinWait2 TimeWait] "rst-outside-window" on Segment if [Rst] unless [Acceptable]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.4 (first), RFC 5961 §3.2";
    [CloseWait Closing LastAck] "rst-outside-window" on Segment if [Rst] unless [Acceptable]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.4 (first), RFC 5961 §3.2",
        linux Deviation::new("RST at RCV.NXT − 1 resets as well: some peers do not count their own FIN")
            .to(State::Closed).doing(actions!([Signal(ConnectionReset), DeleteConnection]))
            .when(Circumstance::AtPeersFin).decided_by("tcp_reset_check");
    [Established FinWait1 CloseWait Closing LastAck] "rst-in-window" on Segment
        if [Rst Acceptable] unless [Exact]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (second), RFC 5961 §3.2",
        linux Deviation::new("no second challenge ACK within the rate limit, 500 ms by default; a RST right behind the \
            last block we reported by SACK resets")
            .decided_by("net.ipv4.tcp_invalid_ratelimit");
    [FinWait2] "rst-in-window" on Segment if [Rst Acceptable] unless [Exact]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (second), RFC 5961 §3.2",
        linux Deviation::new("after close() a mini-socket is left, which any RST in the window ends")
            .to(State::Closed).doing(actions!([DeleteConnection])).when(Circumstance::Orphaned).decided_by("tcp_timewait_state_process");
    [TimeWait] "rst-in-window" on Segment if [Rst Acceptable] unless [Exact]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (second), RFC 5961 §3.2",
        linux Deviation::new("dropped in silence").doing(actions!([DiscardSegment]))
            .decided_by("tcp_timewait_state_process");
    [Established FinWait1 FinWait2] "rst" on Segment if [Rst Acceptable Exact]
        do [FailPendingCalls(ConnectionReset), Signal(ConnectionReset), DeleteConnection] => Closed,
        "RFC 9293 §3.10.7.4 (second)";
    [CloseWait] "rst" on Segment if [Rst Acceptable Exact]
        do [FailPendingCalls(ConnectionReset), Signal(ConnectionReset), DeleteConnection] => Closed,
        "RFC 9293 §3.10.7.4 (second)",
        linux Deviation::new("the program gets EPIPE (32), not ECONNRESET (104)").decided_by("tcp_reset");
    [Closing LastAck] "rst" on Segment if [Rst Acceptable Exact]
        do [DeleteConnection] => Closed, "RFC 9293 §3.10.7.4 (second)";
    [TimeWait] "rst" on Segment if [Rst Acceptable Exact]
        do [DeleteConnection] => Closed, "RFC 9293 §3.10.7.4 (second)",
        linux_stays Deviation::new("with tcp_rfc1337=1 the RST is ignored and TIME_WAIT lasts its time (RFC 1337 §4)")
            .doing(actions!([DiscardSegment])).when(Circumstance::TimeWaitProtected).decided_by("net.ipv4.tcp_rfc1337");

    [Established FinWait1 FinWait2 CloseWait Closing LastAck] "outside-window" on Segment
        unless [Rst Syn Acceptable]
        do [SendAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (first)",
        linux Deviation::new("no second answer within the rate limit, 500 ms by default; none at all without ACK")
            .decided_by("net.ipv4.tcp_invalid_ratelimit");
    // The peer's FIN sent once more is left of the window: for the sequence number test it
    // is an old duplicate, but it shows that our last ACK was lost, so the wait starts anew.
    [TimeWait] "fin-repeated" on Segment if [FinRepeated] unless [Rst Syn Acceptable]
        do [SendAck, StartTimeWaitTimer] => same, "RFC 9293 §3.10.7.4 (fifth, eighth)";
    [TimeWait] "outside-window" on Segment unless [Rst Syn Acceptable FinRepeated]
        do [SendAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (first)",
        linux Deviation::new("the 2MSL timer starts anew as well if ACK is set; no second answer within the rate limit")
            .doing(actions!([SendAck, StartTimeWaitTimer])).when(Circumstance::WithAck).decided_by("tcp_timewait_state_process");

    // RFC 5961 §4.2 asks for the answer whatever the sequence number is.
    [Established FinWait1 CloseWait Closing LastAck] "syn" on Segment if [Syn] unless [Rst]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fourth), RFC 5961 §4.2",
        linux RATE_LIMITED;
    [FinWait2] "syn" on Segment if [Syn] unless [Rst]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fourth), RFC 5961 §4.2",
        linux Deviation::new("after close() a mini-socket is left, which answers a SYN at or beyond RCV.NXT with RST \
            and ends")
            .to(State::Closed).doing(actions!([SendReset(AckingTheirs), DeleteConnection]))
            .when(Circumstance::OrphanedAndAhead).decided_by("tcp_timewait_state_process");
    [TimeWait] "syn-of-new-connection" on Segment if [Syn NewIncarnation] unless [Rst Ack]
        do [DeleteConnection, CreateConnection, LearnPeer, HoldForLater, SendSynAck] => SynReceived,
        "RFC 9293 §3.6.1 (MAY-2), RFC 6191",
        linux Deviation::new("the new initial sequence number is the old SND.NXT + 65537; the connection does not \
            return to TIME_WAIT if the SYN turns out to be an old one")
            .decided_by("tcp_timewait_state_process");
    [TimeWait] "syn" on Segment if [Syn] unless [Rst NewIncarnation]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fourth), RFC 5961 §4.2",
        linux RATE_LIMITED;

    [Established FinWait1 FinWait2 CloseWait Closing LastAck] "no-ack" on Segment
        if [Acceptable] unless [Rst Syn Ack]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fifth)";
    [TimeWait] "no-ack" on Segment if [Acceptable] unless [Rst Syn Ack]
        do [DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fifth)",
        linux Deviation::new("answered with an ACK unless it is empty; an empty one at RCV.NXT starts the 2MSL timer \
            anew")
            .doing(actions!([SendAck])).when(Circumstance::WithText).decided_by("tcp_timewait_state_process");
    [Established FinWait1 FinWait2 CloseWait Closing LastAck] "bad-ack" on Segment
        if [Acceptable Ack] unless [Rst Syn AckAcceptable]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fifth), RFC 5961 §5.2";
    [TimeWait] "bad-ack" on Segment if [Acceptable Ack] unless [Rst Syn AckAcceptable]
        do [SendChallengeAck, DiscardSegment] => same, "RFC 9293 §3.10.7.4 (fifth), RFC 5961 §5.2",
        linux Deviation::new("the acknowledgment number is not looked at").decided_by("tcp_timewait_state_process");
};
