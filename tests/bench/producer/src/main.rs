//! Raw Kafka clients for the benchmark, which sit where the product would:
//!
//! - [`say`]: clients that each write a record and wait for its acknowledgement, over and over;
//! - [`write`]: records at a steady rate, with the time in each;
//! - [`read`]: the ages of these records at a plain consumer.
//!
//! Programs that start it read its standard output. The first line, `ready NANOSECONDS`, says that it is connected, and
//! the time by its clock ([`clock`]).

mod clock;
mod read;
mod say;
mod write;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};

/// Raw Kafka clients for the benchmark.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address of a broker.
    #[arg(long)]
    broker: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints `records SECONDS P50_MS P99_MS`: of records that were written one by one, each acknowledged.
    Say(say::Options),
    /// Writes at a steady rate, to the keys on standard input (one a line) in turn. Prints the number of records.
    Write(write::Options),
    /// Prints the age of each record in milliseconds, until standard input ends.
    Read(read::Options),
}

/// The time limit of calls that are not measured.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let Arguments { broker, topic, command } = Arguments::parse();
    let done = match command {
        Command::Say(options) => say::run(&broker, &topic, &options),
        Command::Write(options) => write::run(&broker, &topic, &options),
        Command::Read(options) => read::run(&broker, &topic, &options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-producer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one line at once.
fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn announce() -> io::Result<()> {
    print(&format!("ready {}", clock::nanoseconds()))
}
