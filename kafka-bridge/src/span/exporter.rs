//! Sends spans to a collector by OTLP over HTTP. The OpenTelemetry SDK reads the standard variables, see
//! docs/metrics.md.
//!
//! Finished spans wait in a bounded queue for a thread of the SDK, which sends them in batches. If the collector is slow
//! or gone, spans are dropped. Nothing else waits for it.

use std::time::Duration;

use opentelemetry::{Key, KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};

use super::Spans;

/// The longest time for the last spans at the end.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// The longest time for a request to the collector, if no variable sets one. OpenTelemetry's default.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"];
const PROTOCOL: &str = "http/protobuf";

/// The name of the service, if no variable sets one.
const SERVICE_NAME: &str = "causeway-kafka-bridge";

/// Why spans can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// The collector is to be reached by another protocol.
    #[error("{0} must be {PROTOCOL}, the only protocol that the bridge has")]
    Protocol(&'static str),
    /// A variable is wrong.
    #[error("OTEL_EXPORTER_OTLP_*: {0}")]
    Build(#[from] ExporterBuildError),
    /// There is no HTTP client.
    #[error("no HTTP client for the collector: {0}")]
    Client(String),
}

/// Exports spans until it is shut down.
#[derive(Debug)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Reads the environment of the process. `None` if it names no collector.
    ///
    /// # Errors
    /// [`ExporterError`] if a variable is wrong.
    pub fn from_env() -> Result<Option<Self>, ExporterError> {
        if !is_enabled(env)? {
            return Ok(None);
        }
        Self::build(None, set(env, "OTEL_TRACES_SAMPLER").is_some()).map(Some)
    }

    /// Whether [`Exporter::from_env`] would refuse the environment. Starts nothing that sends spans.
    ///
    /// # Errors
    /// [`ExporterError`] if a variable is wrong.
    pub fn check_env() -> Result<(), ExporterError> {
        if is_enabled(env)? {
            span_exporter(None)?;
        }
        Ok(())
    }

    /// Sends to this address, with the defaults for everything else.
    ///
    /// # Errors
    /// [`ExporterError`] if the address can't be used.
    pub fn to(url: &str) -> Result<Self, ExporterError> {
        Self::build(Some(url), false)
    }

    fn build(url: Option<&str>, has_sampler: bool) -> Result<Self, ExporterError> {
        let mut provider =
            SdkTracerProvider::builder().with_batch_exporter(span_exporter(url)?).with_resource(resource());
        if !has_sampler {
            // Not by the parent, as is the SDK's default: the edge records no spans, so it marks no trace as sampled.
            provider = provider.with_sampler(Sampler::AlwaysOn);
        }
        Ok(Self(provider.build()))
    }

    /// What makes the spans.
    #[must_use]
    pub fn spans(&self) -> Spans {
        Spans(Some(self.0.tracer("kafka-bridge")))
    }

    /// Sends the last spans, for a limited time.
    pub async fn shutdown(self) {
        let end = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_EXPORT));
        if !matches!(end.await, Ok(Ok(()))) {
            tracing::warn!("the last spans were not exported");
        }
    }
}

/// What sends spans to this address, or to that of the environment.
fn span_exporter(url: Option<&str>) -> Result<SpanExporter, ExporterError> {
    // Fails only if a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut exporter = SpanExporter::builder().with_http().with_http_client(client()?);
    if let Some(url) = url {
        exporter = exporter.with_endpoint(url);
    }
    Ok(exporter.build()?)
}

/// A client that follows no redirect: the headers of `OTEL_EXPORTER_OTLP_HEADERS`, which may have a key, are for the
/// collector alone. It is made by a thread of its own, because a blocking client can't be made where tasks run.
fn client() -> Result<reqwest::blocking::Client, ExporterError> {
    let timeout_ms = TIMEOUTS.into_iter().find_map(|key| set(env, key)?.trim().parse().ok());
    let timeout = timeout_ms.map_or(TIMEOUT, Duration::from_millis);
    let build = move || {
        reqwest::blocking::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none()).build()
    };
    let built = std::thread::spawn(build).join().map_err(|_| ExporterError::Client("its thread ended".to_owned()))?;
    built.map_err(|error| ExporterError::Client(error.to_string()))
}

fn env(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// A variable's value. An empty one counts as not set.
fn set(env: impl Fn(&str) -> Option<String>, key: &str) -> Option<String> {
    env(key).filter(|value| !value.trim().is_empty())
}

/// Whether a collector is named, and nothing turns traces off.
fn is_enabled(env: impl Fn(&str) -> Option<String>) -> Result<bool, ExporterError> {
    let set = |key: &str| set(&env, key);
    let is_off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    if is_off || ENDPOINTS.iter().all(|key| set(key).is_none()) {
        return Ok(false);
    }
    match PROTOCOLS.into_iter().find(|key| set(key).is_some_and(|value| value != PROTOCOL)) {
        Some(key) => Err(ExporterError::Protocol(key)),
        None => Ok(true),
    }
}

fn resource() -> Resource {
    let found = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let resource = found.build();
    let name = resource.get(&Key::from_static_str("service.name")).map(|name| name.to_string());
    if name.is_some_and(|name| !name.starts_with("unknown_service")) {
        return resource;
    }
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder().with_attribute(version).with_service_name(SERVICE_NAME).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enabled(vars: &[(&str, &str)]) -> Result<bool, String> {
        let env = |key: &str| vars.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        is_enabled(env).map_err(|error| error.to_string())
    }

    #[test]
    fn spans_are_exported_only_to_a_collector_that_is_named() {
        const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(enabled(&[]), Ok(false));
        assert_eq!(enabled(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(false));
        assert_eq!(enabled(&[ENDPOINT]), Ok(true));
        assert_eq!(enabled(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")]), Ok(true));
        assert_eq!(enabled(&[ENDPOINT, ("OTEL_SDK_DISABLED", "true")]), Ok(false));
        assert_eq!(enabled(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]), Ok(false));
        assert_eq!(enabled(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]), Ok(true));
        let refused = enabled(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
        assert!(refused.starts_with("OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"), "{refused}");
    }
}
