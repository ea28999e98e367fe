//! Checks settings of the edge before they are deployed, with the code that the edge itself reads them with.
//! `scripts/configure --check` is the command for users. It reads their files and passes the settings on.
//!
//! - Standard input: a JSON document, see [`Input`].
//! - Standard output: a line for each problem, as the edge would log it; or what the edge would serve. Never a value of a
//!   secret.
//! - Exit code: 0 if the edge would serve, 1 if it would answer 503, 2 if the input cannot be read.

mod given;

use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

use causeway_core::config::{Config, Coordination};

use self::given::{Given, Input, Runtime};

/// Most input that is read, in bytes. Workers has 128 variables of 5 KB.
const MAX_INPUT_BYTES: u64 = 4 << 20;

fn main() -> ExitCode {
    let (lines, code) = match read() {
        Err(problem) => (vec![problem], 2),
        Ok((given, coordination)) => match Config::load(&given, coordination) {
            Ok(config) => (summary(&config), 0),
            Err(problems) => (problems.iter().map(ToString::to_string).collect(), 1),
        },
    };
    let mut output = io::stdout().lock();
    // A reader that has left wants nothing more.
    let _ = lines.iter().try_for_each(|line| writeln!(output, "{line}"));
    ExitCode::from(code)
}

fn read() -> Result<(Given, Coordination), String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MAX_INPUT_BYTES).read_to_string(&mut text);
    read.map_err(|error| format!("the input cannot be read: {error}"))?;
    // The error may hold a part of the input.
    let input: Input = serde_json::from_str(&text).map_err(|_| "the input is not as documented".to_owned())?;
    let coordination = match input.runtime {
        Runtime::Workers => Coordination::Objects,
        Runtime::Spin => Coordination::Redis,
    };
    Ok((Given::try_from(input)?, coordination))
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
