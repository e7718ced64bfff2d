//! Arguments in, exit code out.

use backstop::cli::{Cli, dispatch};
use backstop::clock::Clock;
use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let wanted = EnvFilter::try_new(&cli.log).unwrap_or_else(|_| EnvFilter::new("warn"));
    // The transport crates' debug output carries whole requests, with keys, signatures and listenKeys. Whatever the filter
    // says, only our own words go below a warning (SE-01).
    let ours = filter_fn(|about| about.target().starts_with("backstop") || *about.level() <= Level::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(wanted)
        .with(ours)
        .with(lines)
        .init();
    // Two providers of cryptography in one process panic: this one is installed before anything asks.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("the runtime could not be started: {error}");
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(dispatch(cli, Clock::start()));
    // Blocking threads (a terminal that is read, a disk that hangs) must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
