//! Prints what the endpoint conforms to, clause by clause: `docs/conformance.md`.

fn main() {
    print!("{}", eleven_tcp::rules::conformance::page());
}
