//! Runs a built Spin component where the Spin CLI cannot be installed. **For tests and local trials only.**
//!
//! It reads `spin.toml` and offers what a component built with `spin-sdk` 7 imports: `wasi:http` 0.3 in and out,
//! `spin:variables`, `spin:key-value` and `spin:redis`. Behaviour of Spin that is visible from outside is the same:
//! requests share instances, a failure is an empty 500, Redis replies are flattened, hosts are refused. It has no
//! TLS, no limits of memory or time, no telemetry and no second component. Users are served by Spin itself.
//!
//! - [`manifest`]: reads `spin.toml`.
//! - [`variable`], [`allowed`], [`route`]: the manifest's variables, allowed hosts and routes.
//! - [`guest`]: the compiled component and the state of an instance.
//! - [`key_value`], [`redis`], [`outbound`]: the interfaces a guest calls.
//! - [`worker`]: how requests share instances.
//! - [`server`]: accepts HTTP requests.

mod allowed;
mod bindings;
mod guest;
mod key_value;
mod manifest;
mod outbound;
mod redis;
mod route;
mod server;
mod variable;
mod worker;

use std::{io::Write as _, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use tokio::net::TcpListener;
use wasmtime_wasi_http::handler::ProxyHandler;

use crate::{
    allowed::AllowedHosts,
    guest::{App, Guest},
    key_value::KeyValues,
    manifest::Manifest,
    route::Routes,
    server::Server,
    variable::{ComponentVariables, Variables},
    worker::{Reuse, Workers},
};

/// Runs a built Spin component, for tests and local trials only. Users are served by Spin itself.
///
/// Variables are read from the environment, as SPIN_VARIABLE_<NAME>, or from a store. Prints `ready http://…` once it accepts requests.
#[derive(Debug, Parser)]
struct Arguments {
    /// The application's manifest.
    #[arg(short, long, default_value = "spin.toml")]
    from: PathBuf,
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// The folder of the key-value store; by default .spin beside the manifest.
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// The folder for compiled components, an absolute path. With it, the next start takes one second instead of many.
    #[arg(long)]
    cache_dir: Option<PathBuf>,
    /// A file in place of a store of variables, such as Vault: values by name, in TOML. They come before the environment's,
    /// and are read anew each time.
    #[arg(long)]
    variable_store: Option<PathBuf>,
    /// Writes the names of what is compiled to /tmp/perf-PID.map, where Linux's perf looks for them.
    #[arg(long)]
    perf_map: bool,
    /// Requests that an instance serves before it is replaced.
    #[arg(long, default_value_t = 128)]
    max_instance_reuse_count: usize,
    /// Requests that an instance serves concurrently.
    #[arg(long, default_value_t = 16)]
    max_instance_concurrent_reuse_count: usize,
    /// Milliseconds after which an idle instance is dropped.
    #[arg(long, default_value_t = 1000)]
    idle_instance_timeout_ms: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    eprintln!("spin-host: for tests and local trials only, in place of the Spin CLI");

    let manifest = Manifest::read(&arguments.from)?;
    let state_dir = arguments.state_dir.unwrap_or_else(|| arguments.from.with_file_name(".spin"));
    let app = application(&manifest, &state_dir, arguments.variable_store)?;
    let guest = Guest::new(&manifest, app, arguments.cache_dir.as_deref(), arguments.perf_map)
        .map_err(anyhow::Error::from)
        .with_context(|| format!("cannot run {}", manifest.source.display()))?;
    let reuse = Reuse {
        total: arguments.max_instance_reuse_count,
        concurrent: arguments.max_instance_concurrent_reuse_count,
        idle: Duration::from_millis(arguments.idle_instance_timeout_ms),
    };
    let server = Arc::new(Server {
        routes: Routes::new(&manifest.routes)?,
        handler: ProxyHandler::new(Workers { guest: Arc::new(guest), reuse }),
    });

    let listener =
        TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    writeln!(std::io::stdout(), "ready http://{}", listener.local_addr()?)?;
    tokio::select! {
        () = server.serve(listener) => Ok(()),
        stopped = stopped() => stopped,
    }
}

fn application(
    manifest: &Manifest,
    state_dir: &std::path::Path,
    variable_store: Option<PathBuf>,
) -> anyhow::Result<App> {
    let variables = Variables::new(&manifest.variables, |name| std::env::var(name).ok())?;
    let component = &manifest.component;
    let mut component_variables = ComponentVariables::new(&component.variables, &variables)?;
    for missing in component_variables.missing() {
        eprintln!("spin-host: {missing}");
    }
    if let Some(file) = variable_store {
        component_variables = component_variables.with_store(file, &component.variables, &variables);
    }
    let defaults = Variables::new(&manifest.variables, |_| None)?;
    AllowedHosts::validate(&component.allowed_outbound_hosts, &defaults)
        .context("allowed_outbound_hosts cannot be read with the variables' defaults")?;
    let allowed = AllowedHosts::new(&component.allowed_outbound_hosts, &variables).unwrap_or_else(|error| {
        eprintln!("spin-host: no outbound host is allowed, because of allowed_outbound_hosts: {error}");
        AllowedHosts::none()
    });
    Ok(App {
        variables: component_variables,
        allowed,
        stores: component.key_value_stores.iter().cloned().collect(),
        key_values: KeyValues::open(state_dir)
            .with_context(|| format!("cannot open the key-value store in {}", state_dir.display()))?,
        client: outbound::client().context("cannot read the system's certificate authorities")?,
        environment: component.environment.clone().into_iter().collect(),
    })
}

/// Returns when the process is asked to end. Open streams are then cut, as Spin cuts them.
async fn stopped() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
