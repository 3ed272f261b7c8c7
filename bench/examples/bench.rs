//! `ringkeeper bench`, before there is a `ringkeeper`.

fn main() -> std::process::ExitCode {
    ringkeeper_bench::run(std::env::args_os().skip(1))
}
