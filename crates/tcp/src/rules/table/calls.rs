//! Calls that transfer text, tell the state or come at the wrong time: they leave the
//! state as it is.

use crate::State;
use crate::rules::{Circumstance, Deviation, Rule};

const END_OF_FILE: Deviation =
    Deviation::new("read() returns 0: end of file is not an error").doing(actions!([ReturnText]));

pub(super) const RULES: &[&[Rule]] = rules! {
    [SynSent SynReceived Established FinWait1 FinWait2 CloseWait Closing LastAck] "active-open" on ActiveOpen
        do [ReturnError(ConnectionAlreadyExists)] => same, "RFC 9293 §3.10.1";
    [TimeWait] "active-open" on ActiveOpen
        do [ReturnError(ConnectionAlreadyExists)] => same, "RFC 9293 §3.10.1",
        linux Deviation::new("connect() may take over the pair of sockets if timestamps were in use and a second has \
            passed; the new connection is in SYN_SENT")
            .to(State::SynSent).doing(actions!([DeleteConnection, CreateConnection, SendSyn, ReturnOk]))
            .when(Circumstance::Outside).decided_by("net.ipv4.tcp_tw_reuse");
    [Listen] "passive-open" on PassiveOpen
        do [ReturnError(ConnectionAlreadyExists)] => same, "RFC 9293 §3.10.1",
        linux Deviation::new("listen() succeeds once more and changes the backlog").doing(actions!([ReturnOk]))
            .decided_by("inet_listen");
    [SynSent SynReceived Established FinWait1 FinWait2 CloseWait Closing LastAck] "passive-open" on PassiveOpen
        do [ReturnError(ConnectionAlreadyExists)] => same, "RFC 9293 §3.10.1";
    [TimeWait] "passive-open" on PassiveOpen
        do [ReturnError(ConnectionAlreadyExists)] => same, "RFC 9293 §3.10.1",
        linux Deviation::new("bind() fails with EADDRINUSE (98); with SO_REUSEADDR a listener can start beside it")
            .decided_by("SO_REUSEADDR");

    [Closed] "send" on Send
        do [ReturnError(ConnectionDoesNotExist)] => same, "RFC 9293 §3.10.2";
    [SynSent SynReceived] "send" on Send
        do [QueueCall] => same, "RFC 9293 §3.10.2";
    [Established CloseWait] "send" on Send
        do [SendText, ReturnOk] => same, "RFC 9293 §3.10.2";
    [FinWait1 FinWait2 Closing LastAck TimeWait] "send" on Send
        do [ReturnError(ConnectionClosing)] => same, "RFC 9293 §3.10.2";

    [Closed] "receive" on Receive
        do [ReturnError(ConnectionDoesNotExist)] => same, "RFC 9293 §3.10.3";
    [Listen] "receive" on Receive
        do [QueueCall] => same, "RFC 9293 §3.10.3",
        linux Deviation::new("read() on a listening socket fails with ENOTCONN (107)")
            .doing(actions!([ReturnError(ConnectionDoesNotExist)])).decided_by("tcp_recvmsg");
    [SynSent SynReceived] "receive" on Receive
        do [QueueCall] => same, "RFC 9293 §3.10.3";
    [Established FinWait1 FinWait2] "receive" on Receive
        do [ReturnText] => same, "RFC 9293 §3.10.3";
    [CloseWait] "receive-unread" on Receive if [UnreadText]
        do [ReturnText] => same, "RFC 9293 §3.10.3";
    [CloseWait] "receive-at-end" on Receive unless [UnreadText]
        do [ReturnError(ConnectionClosing)] => same, "RFC 9293 §3.10.3", linux END_OF_FILE;
    // Both directions are closed, but what came before the FIN is still the program's.
    [Closing LastAck TimeWait] "receive-unread" on Receive if [UnreadText]
        do [ReturnText] => same, "RFC 9293 §3.10.3";
    [Closing LastAck TimeWait] "receive" on Receive unless [UnreadText]
        do [ReturnError(ConnectionClosing)] => same, "RFC 9293 §3.10.3", linux END_OF_FILE;

    [Closed] "close" on Close
        do [ReturnError(ConnectionDoesNotExist)] => same, "RFC 9293 §3.10.4";
    [Closing LastAck] "close" on Close
        do [ReturnError(ConnectionClosing)] => same, "RFC 9293 §3.10.4",
        linux Deviation::new("close() after shutdown() succeeds; with text unread it sends RST and the connection is \
            gone")
            .doing(actions!([ReturnOk])).decided_by("tcp_close");
    [TimeWait] "close" on Close
        do [ReturnError(ConnectionClosing)] => same, "RFC 9293 §3.10.4",
        linux Deviation::new("close() succeeds: the program's socket and the TIME_WAIT mini-socket are two things")
            .doing(actions!([ReturnOk])).decided_by("tcp_time_wait");
    [Closed] "shutdown" on Shutdown
        do [ReturnError(ConnectionDoesNotExist)] => same, "RFC 9293 §3.10.4";
    [FinWait1 FinWait2 Closing LastAck] "shutdown" on Shutdown
        do [ReturnError(ConnectionClosing)] => same, "RFC 9293 §3.10.4",
        linux Deviation::new("a second shutdown(SHUT_WR) succeeds and does nothing").doing(actions!([ReturnOk]))
            .decided_by("tcp_shutdown");
    [TimeWait] "shutdown" on Shutdown
        do [ReturnError(ConnectionClosing)] => same, "RFC 9293 §3.10.4";
    [Closed] "abort" on Abort
        do [ReturnError(ConnectionDoesNotExist)] => same, "RFC 9293 §3.10.5";

    [Closed] "status" on Status
        do [ReturnError(ConnectionDoesNotExist)] => same, "RFC 9293 §3.10.6",
        linux Deviation::new("getsockopt(TCP_INFO) tells CLOSED").doing(actions!([ReturnState]))
            .decided_by("tcp_get_info");
    [Listen SynSent SynReceived Established FinWait1 FinWait2 CloseWait Closing LastAck TimeWait] "status" on Status
        do [ReturnState] => same, "RFC 9293 §3.10.6";
};
