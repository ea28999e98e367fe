//! Checks settings of the edge before they are deployed, with the code that the edge itself reads them with.
//! `scripts/configure --check` is the command for users. It reads their files and passes the settings on.
//!
//! - Standard input: a JSON document, see [`Input`].
//! - Standard output: a JSON document, see [`Findings`]. Never a value of a secret.
//! - Exit code: 0 if the input was read, 2 if it cannot be; standard error then says why.

mod given;
mod mismatch;

use std::{
    io::{self, Read as _, Write as _},
    mem,
    process::ExitCode,
};

use causeway_core::config::{Config, Coordination};
use serde::Serialize;

use self::{
    given::{Given, Input, Runtime},
    mismatch::mismatches,
};

/// Most input that is read, in bytes. Workers has 128 variables of 5 KB.
const MAX_INPUT_BYTES: u64 = 4 << 20;

/// What standard output gets.
#[derive(Serialize)]
struct Findings {
    /// Whether the edge would serve. It would answer 503 otherwise.
    serves: bool,
    /// A line for each problem, as the edge would log it; or what the edge would serve.
    lines: Vec<String>,
    /// For each bridge, what is right on both sides and wrong together.
    mismatches: Vec<Vec<String>>,
}

fn main() -> ExitCode {
    // A reader that has left wants nothing more.
    match read().and_then(find) {
        Ok(findings) => {
            let _ = serde_json::to_writer(io::stdout().lock(), &findings);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            let _ = writeln!(io::stderr().lock(), "{problem}");
            ExitCode::from(2)
        }
    }
}

fn read() -> Result<Input, String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MAX_INPUT_BYTES).read_to_string(&mut text);
    read.map_err(|error| format!("the input cannot be read: {error}"))?;
    // The error may hold a part of the input.
    serde_json::from_str(&text).map_err(|_| "the input is not as documented".to_owned())
}

fn find(mut input: Input) -> Result<Findings, String> {
    let (runtime, bridges) = (input.runtime, mem::take(&mut input.bridges));
    let coordination = match runtime {
        Runtime::Workers => Coordination::Objects,
        Runtime::Spin => Coordination::Redis,
    };
    let given = Given::try_from(input)?;
    let loaded = Config::load(&given, coordination);
    Ok(Findings {
        serves: loaded.is_ok(),
        lines: match &loaded {
            Ok(config) => summary(config),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        },
        mismatches: bridges.iter().map(|bridge| mismatches(&given, bridge, runtime)).collect(),
    })
}

/// What an operator compares with their intention.
fn summary(config: &Config) -> Vec<String> {
    let mut lines = vec![format!("public origin: {}", config.public_origin)];
    lines.extend(config.host_origins.iter().map(|origin| format!("host page: {origin}")));
    lines.extend(config.providers.iter().map(|it| format!("provider: {} ({})", it.id, it.redirect_uri)));
    lines.extend(config.services.iter().map(|it| format!("service: {} ({})", it.name, it.base)));
    lines.push(format!("channels: {}", config.channels.join(", ")));
    lines.push(format!("bridge: {}", config.bridge_url));
    lines
}
