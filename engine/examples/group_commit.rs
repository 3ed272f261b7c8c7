//! What a batching delay does to group commit, simulated: `group_commit [seeds]`.
//!
//! Every situation of the regression test, without waiting and with each target; the figures of a
//! target are relative to never waiting.

#[path = "../tests/group_commit/grid.rs"]
#[allow(dead_code, reason = "the test uses more of it")]
mod grid;
#[path = "../tests/group_commit/world.rs"]
#[allow(dead_code, reason = "the test uses more of it")]
mod world;

use ringkeeper_engine::log::gathering::Target;

fn main() {
    let seeds = std::env::args().nth(1).map_or(1, |text| text.parse().expect("a number of seeds"));
    println!("situation                            writes/s   mean us    p99 us  group place");
    println!("    for each target: rate, mean, p99 and syncs, relative; and the wait, us");
    let targets: [Target; 3] =
        ["throughput", "p99<2ms", "p99<5ms"].map(|text| text.parse().expect("it is a target"));
    for situation in grid::all() {
        for seed in 1..=seeds {
            let base = grid::run(&situation, Target::Latency, seed);
            let (mean, p99) = (base.mean_us(), base.p99_us());
            print!("{:34} ", situation.name);
            print!("{:9.0} {mean:9.0} {p99:9.0} {:6.1}", base.rate(), base.size());
            print!(" {:5.2}", base.pace.arrival_percent as f64 / 100.0);
            for target in targets {
                let with = grid::run(&situation, target, seed);
                print!(
                    " | {:5.2} {:5.2} {:5.2} {:5.2} {:8}",
                    with.rate() / base.rate(),
                    with.mean_us() / mean,
                    with.p99_us() / p99,
                    base.size() / with.size(),
                    with.pace.wait_us
                );
            }
            println!();
        }
    }
}
