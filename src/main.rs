//! Arguments in, exit code out.

use backstop::cli::{Cli, dispatch};
use backstop::clock::Clock;
use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The transport crates' debug output carries whole URLs, with signatures and listenKeys: never below warn (SE-01).
    let quiet = "reqwest=warn,hyper=warn,hyper_util=warn,tungstenite=warn,tokio_tungstenite=warn,rustls=warn";
    let filter =
        EnvFilter::try_new(format!("{},{quiet}", cli.log)).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
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
