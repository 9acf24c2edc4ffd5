//! The notation the tables are written in.
//!
//! ```text
//! [Closing LastAck] "fin-acked" on Segment if [Ack …] unless [Rst …]
//!     do [AcceptAck, …] => TimeWait, "RFC 9293 §…", linux Deviation::new("…");
//! ```
//!
//! One line stands for one rule in each state listed; its id is the state's name in RFC
//! spelling, a dot and the text. `=> same` keeps the state. `if` lists what must hold,
//! `unless` what must not. `linux_stays` is a deviation that leaves the state as it is.

/// The RFC name of a state as a literal, for ids put together at compile time.
macro_rules! state_name {
    (Listen) => {
        "listen"
    };
    (SynSent) => {
        "syn-sent"
    };
    (SynReceived) => {
        "syn-received"
    };
    (Established) => {
        "established"
    };
    (FinWait1) => {
        "fin-wait-1"
    };
    (FinWait2) => {
        "fin-wait-2"
    };
    (CloseWait) => {
        "close-wait"
    };
    (Closing) => {
        "closing"
    };
    (LastAck) => {
        "last-ack"
    };
    (TimeWait) => {
        "time-wait"
    };
    (Closed) => {
        "closed"
    };
}

macro_rules! action {
    (ReturnError($failure:ident)) => {
        $crate::rules::Action::ReturnError($crate::rules::Failure::$failure)
    };
    (FailPendingCalls($failure:ident)) => {
        $crate::rules::Action::FailPendingCalls($crate::rules::Failure::$failure)
    };
    (Signal($failure:ident)) => {
        $crate::rules::Action::Signal($crate::rules::Failure::$failure)
    };
    (SendReset($form:ident)) => {
        $crate::rules::Action::SendReset($crate::rules::ResetForm::$form)
    };
    ($action:ident) => {
        $crate::rules::Action::$action
    };
}

macro_rules! actions {
    ([$($action:ident $(($detail:ident))?),* $(,)?]) => { &[$(action!($action $(($detail))?)),*] };
}

macro_rules! conditions {
    ([$($condition:ident)*]) => { &[$($crate::rules::Condition::$condition),*] };
    () => { &[] };
}

macro_rules! next_state {
    ($from:ident same) => {
        $crate::State::$from
    };
    ($from:ident $to:ident) => {
        $crate::State::$to
    };
}

macro_rules! deviation {
    ($from:ident) => {
        None
    };
    ($from:ident linux $deviation:expr) => {
        Some($deviation)
    };
    ($from:ident linux_stays $deviation:expr) => {
        Some($deviation.to($crate::State::$from))
    };
}

/// One line of the notation, in each of its states. What has lists inside comes as a
/// single token tree: a list cannot be repeated inside another list otherwise.
macro_rules! in_each_state {
    ([$($from:ident)+] $name:literal $event:ident $yes:tt $no:tt $actions:tt $to:tt $clause:literal $linux:tt) => {
        &[$(one_rule!($from $name $event $yes $no $actions $to $clause $linux)),+]
    };
}

macro_rules! one_rule {
    ($from:ident $name:literal $event:ident ($($yes:tt)?) ($($no:tt)?) $actions:tt $to:ident
        $clause:literal ($($linux:tt)*)) => {
        $crate::rules::Rule {
            id: concat!(state_name!($from), ".", $name),
            from: $crate::State::$from,
            event: $crate::rules::Event::$event,
            guard: $crate::rules::Guard::new(conditions!($($yes)?), conditions!($($no)?)),
            actions: actions!($actions),
            to: next_state!($from $to),
            clause: $clause,
            linux: deviation!($from $($linux)*),
        }
    };
}

macro_rules! rules {
    ($($states:tt $name:literal on $event:ident $(if $yes:tt)? $(unless $no:tt)? do $actions:tt => $to:ident,
        $clause:literal $(, linux $linux:expr)? $(, linux_stays $stays:expr)?;)+) => {
        &[$(in_each_state!($states $name $event ($($yes)?) ($($no)?) $actions $to $clause
            ($(linux $linux)? $(linux_stays $stays)?))),+]
    };
}
