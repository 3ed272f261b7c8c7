//! Does a client of a member see what the ensemble has committed, whatever happens?

use crate::sim::runner::run;

#[test]
fn one() {
    let from: u64 = std::env::var("FROM").map_or(0, |f| f.parse().unwrap());
    let n: u64 = std::env::var("N").map_or(20, |f| f.parse().unwrap());
    let (mut ev, mut vt) = (0, 0);
    let mut tot = [0; 20];
    for seed in from..from+n {
        let t0 = std::time::Instant::now();
        let r = std::panic::catch_unwind(|| run(seed));
        let Ok(o) = r else { eprintln!("SEED {seed} fails"); continue };
        ev += o.events; vt += o.virtual_us;
        let m = &o.met; let l = &m.links; let s = &o.seen;
        for (t, v) in tot.iter_mut().zip([m.replies, m.events, m.moves, m.crashes, m.refused_starts, m.wipes, m.reloads, l.installs, l.ahead, l.diverged, l.faults, l.refused_links, l.holes, l.too_far, l.not_installed, s.diffs, s.cuts, s.snaps, s.served, s.wrongs]) { *t += v; }
        eprintln!("T {seed} {:?} {} {}", t0.elapsed(), o.events, o.virtual_us);
        if n == 1 { eprintln!("{o:?}"); }
    }
    eprintln!("events {ev} virtual {} s; replies events moves crashes refused wipes reloads installs ahead diverged faults reflinks holes toofar notinst diffs cuts snaps served wrongs {tot:?}", vt / 1_000_000);
}
