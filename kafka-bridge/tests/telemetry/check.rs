//! `kafka-bridge --check` refuses what the bridge refuses when it starts.

use std::process::Command;

use super::support::keys;

/// How the program ends with these variables beside the required ones, and what it says.
fn run(arguments: &[&str], vars: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kafka-bridge"))
        .args(arguments)
        .env_clear()
        .env("BRIDGE_KEYS", keys())
        .env("BRIDGE_EDGE_URL", "http://127.0.0.1:1")
        .env("BRIDGE_LISTEN", "127.0.0.1:0")
        .env("KAFKA_BROKERS", "127.0.0.1:1")
        .envs(vars.iter().copied())
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn check_refuses_the_collectors_variables_that_the_start_refuses() {
    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    for wrong in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector example:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector example:4318/v1/traces"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ] {
        for arguments in [&["--check"][..], &[]] {
            let (is_ok, said) = run(arguments, &[ENDPOINT, wrong]);
            assert!(!is_ok && said.contains("OTEL_EXPORTER_OTLP"), "{arguments:?} {wrong:?}: {said}");
        }
    }
    assert!(run(&["--check"], &[ENDPOINT]).0);
    assert!(run(&["--check"], &[]).0);
}
