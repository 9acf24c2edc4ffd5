//! `eleven trace`: on simulated captures whose truth is known, on public ones, and beside the kernel.

mod bad_input;
mod contract;
mod corpus;
mod kernel;
mod peers;
mod threads;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eleven_tcp::pcapng::IoSink;
use eleven_tcp::sim::{Link, Loss, Simulation, Vantage};
use eleven_tcp::{Instant, Policy};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::{Ran, run};

/// A capture of a simulated connection.
struct Simulated<'a> {
    seed: u64,
    /// The share of packets that is lost.
    loss: f64,
    /// What is done to single packets.
    script: &'a str,
    client: &'a str,
    server: &'a str,
}

impl Default for Simulated<'_> {
    fn default() -> Self {
        Self {
            seed: 1,
            loss: 0.0,
            script: "",
            client: "send 5000; shutdown; receive all; close",
            server: "receive all; send 3000; close",
        }
    }
}

impl Simulated<'_> {
    /// Writes it into a directory of its own, as seen at the client.
    fn capture(&self) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("simulated.pcapng");
        let mut world = Simulation::new(self.seed);
        let address = |text: &str| text.parse().expect("an address");
        let client = world.add_host("client", &[address("10.0.0.1")], Policy::linux());
        let server = world.add_host("server", &[address("10.0.0.2")], Policy::linux());
        world.network_mut().set_default_link(Link {
            loss: Loss::Random(self.loss),
            ..Link::with_delay(Duration::from_millis(10))
        });
        world.network_mut().apply(&self.script.parse().expect("a script")).expect("its hosts exist");
        world.record();
        let at = "10.0.0.2:80".parse().expect("a socket");
        world.listen(Instant::ZERO, server, at, self.server.parse().expect("a program"));
        let from = "10.0.0.1:40000".parse().expect("a socket");
        world.connect(Instant::ZERO, client, from, at, self.client.parse().expect("a program"));
        world.run_until(Instant::from_secs(3_600));
        let sink = IoSink(BufWriter::new(File::create(&path).expect("a file")));
        world.write_capture(Vantage::Host(client), sink).expect("there is room");
        (directory, path)
    }
}

/// `eleven trace FILE ARGUMENTS`.
fn trace(path: &Path, arguments: &[&str]) -> Ran {
    let path = path.to_str().expect("a path in UTF-8");
    run(&[&["trace", path], arguments].concat())
}

/// The states of one end's path.
fn path_of<'a>(flow: &'a Value, side: &str) -> Vec<&'a str> {
    let path = flow[format!("{side}_path")].as_array().expect("a path");
    path.iter().map(|step| step["state"].as_str().expect("a state")).collect()
}
