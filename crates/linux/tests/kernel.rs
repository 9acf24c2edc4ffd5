//! scratch
mod support;
use support::gallery::Gallery;
#[test]
fn explore() {
    let Some(g) = Gallery::open() else { return };
    for (name, w) in g.witnesses() {
        let r = g.row(name);
        eprintln!("{name}: want {:?} {:?} inode {:?} cookie {:?}", w.state, w.kind, w.inode, w.cookie);
        let mut r = r.clone(); r.tcp_info = None;
        eprintln!("   {r:?}");
        if w.state != eleven_tcp::State::Closed {
        let mut r = g.row_of_proc(name).clone(); r.tcp_info = None;
        eprintln!("   PROC {r:?}");}
    }
    let o = g.stage.here.run(|| support::ss::rows());
    eprintln!("{o:#?}");
}
