//! One sentence a socket: what it waits for, who must act, what ends it and when.

use std::collections::BTreeMap;

use eleven_doctor::{Responsible, why};
use eleven_knowledge::{DoctorTexts, Language, fill, keep_known};
use eleven_snapshot::Socket;
use serde::Serialize;

use super::doctor::words;
use super::in_its_namespace;
use crate::text;

/// Says why sockets are where they are.
pub(super) struct Whys {
    texts: DoctorTexts,
    /// Sysctls of the namespaces that sockets were met in.
    sysctls: BTreeMap<Option<String>, BTreeMap<String, String>>,
}

/// What is said of a socket.
#[derive(Serialize)]
pub(super) struct Said {
    pub(super) sentence: String,
    /// Null: nobody has to act.
    responsible: Option<Responsible>,
    sysctl: Option<&'static str>,
    ends_ms: Option<u64>,
}

impl Whys {
    pub(super) fn new(language: Language) -> Self {
        Self { texts: DoctorTexts::of(language), sysctls: BTreeMap::new() }
    }

    pub(super) fn say(&mut self, socket: &Socket) -> Said {
        let label = socket.netns.as_deref();
        // A namespace that is gone by now has no values any more.
        let sysctls = self.sysctls.entry(label.map(str::to_owned)).or_insert_with(|| {
            in_its_namespace(label, eleven_linux::proc::sysctl::read_tcp).unwrap_or_default()
        });
        let value = |name: &str| sysctls.get(name)?.parse().ok();
        let why = why(socket, &value);
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        for evidence in &why.values {
            values.insert(evidence.key, words(&evidence.value, None, &self.texts));
        }
        values.insert("holder", holder(socket, &self.texts));
        values.insert("remote", text::endpoint(socket.remote_address, socket.remote_port));
        values.insert("port", socket.local_port.map_or_else(|| "*".to_owned(), |port| port.to_string()));
        let sentence =
            keep_known(self.texts.why(why.key).unwrap_or_default(), |name| values.contains_key(name));
        let sentence = fill(&sentence, |name| values.get(name).cloned().unwrap_or_else(|| "?".to_owned()));
        Said { sentence, responsible: why.responsible, sysctl: why.sysctl, ends_ms: why.ends_ms }
    }
}

fn holder(socket: &Socket, texts: &DoctorTexts) -> String {
    match socket.owners.as_slice() {
        [] => texts.word("nobody").to_owned(),
        [owner, ..] => format!("{} (pid {}, fd {})", text::printable(&owner.process), owner.pid, owner.fd),
    }
}
