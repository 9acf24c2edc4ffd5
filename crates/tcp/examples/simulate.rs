//! Simulates a connection on a network that loses packets and prints it as a ladder.
//!
//!     cargo run -p eleven-tcp --example simulate -- --script "drop FIN 1 from client" --svg close.svg

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::time::Duration;

use eleven_tcp::pcapng::IoSink;
use eleven_tcp::sim::{Link, Loss, Simulation, Vantage};
use eleven_tcp::{Instant, Policy};

const USAGE: &str = "\
Options:
  --seed N         what chance makes of it (1)
  --loss P         the share of packets lost, in percent (5)
  --delay MS       from one end to the other, in milliseconds (20)
  --bytes N        what the client sends (20000)
  --script LINES   what is done to single packets: \"drop FIN 1 from client\"
  --client STEPS   the client's program (\"send BYTES; shutdown; receive all; close\")
  --server STEPS   the server's program (\"receive all; send 1000; close\")
  --rfc            both ends follow RFC 9293 instead of Linux
  --pcapng FILE    write a capture, as seen in the middle
  --svg FILE       write the ladder as a picture";

fn main() -> Result<(), Box<dyn Error>> {
    let (mut seed, mut loss, mut delay, mut bytes) = (1, 5.0, 20, 20_000_u64);
    let (mut script, mut capture, mut picture) = (String::new(), None, None);
    let (mut client_steps, mut server_steps) = (None, "receive all; send 1000; close".to_owned());
    let mut policy = Policy::linux();
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{option} wants a value"));
        match option.as_str() {
            "--seed" => seed = value()?.parse()?,
            "--loss" => loss = value()?.parse()?,
            "--delay" => delay = value()?.parse()?,
            "--bytes" => bytes = value()?.parse()?,
            "--script" => script = value()?,
            "--client" => client_steps = Some(value()?),
            "--server" => server_steps = value()?,
            "--rfc" => policy = Policy::rfc9293(),
            "--pcapng" => capture = Some(value()?),
            "--svg" => picture = Some(value()?),
            _ => {
                println!("{USAGE}");
                return Ok(());
            }
        }
    }
    let client_steps = client_steps.unwrap_or_else(|| format!("send {bytes}; shutdown; receive all; close"));

    let mut world = Simulation::new(seed);
    let client = world.add_host("client", &["10.0.0.1".parse()?], policy.clone());
    let server = world.add_host("server", &["10.0.0.2".parse()?], policy);
    world.network_mut().set_default_link(Link {
        loss: Loss::Random(loss / 100.0),
        ..Link::with_delay(Duration::from_millis(delay))
    });
    world.network_mut().apply(&script.parse()?)?;
    world.record();
    world.listen(Instant::ZERO, server, "10.0.0.2:80".parse()?, server_steps.parse()?);
    let (local, remote) = ("10.0.0.1:40000".parse()?, "10.0.0.2:80".parse()?);
    let end = world.connect(Instant::ZERO, client, local, remote, client_steps.parse()?);
    let stop = world.run_until(Instant::from_secs(3_600));

    let ladder = world.ladder(&world.end(end).pair);
    print!("{}", ladder.text());
    for end in world.ends() {
        let name = world.network().name(end.host);
        print!("{name}: {} bytes sent, {} received", end.sent, end.received);
        println!("{}", end.failure.map_or(String::new(), |failure| format!("; {failure}")));
    }
    println!("{} packets, stopped at {}: {stop:?}", world.packets(), world.now());
    if let Some(path) = picture {
        std::fs::write(path, ladder.svg())?;
    }
    if let Some(path) = capture {
        let sink = IoSink(BufWriter::new(File::create(path)?));
        world.write_capture(Vantage::Between(client, server), sink)?;
    }
    Ok(())
}
