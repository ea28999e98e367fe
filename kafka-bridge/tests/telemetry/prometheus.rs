//! A real Prometheus reads `/metrics`, evaluates the rules of docs/prometheus, and answers the queries of the dashboard in
//! docs/grafana.

use std::{
    io::Write as _,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::*;

/// If it is `1`, tests that need a Prometheus pass where there is none.
const WITHOUT: &str = "CAUSEWAY_TEST_WITHOUT_PROMETHEUS";

/// A running Prometheus with a directory of its own.
struct Prometheus {
    child: Child,
    port: u16,
    directory: PathBuf,
    http: reqwest::Client,
}

impl Prometheus {
    /// Reads this address every 100 ms. `None`, with the reason printed, if it is not installed and [`WITHOUT`] allows that.
    fn start(target: &str) -> Option<Self> {
        // Released at once. The system hands out ports in turn, so nothing else gets it soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = std::env::temp_dir().join(format!("causeway-prometheus-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let rules = docs().canonicalize().unwrap().join("prometheus/alerts.yaml");
        let config = format!(
            "global: {{ scrape_interval: 100ms, evaluation_interval: 100ms }}
rule_files: ['{}']
scrape_configs:
  - job_name: kafka-bridge
    static_configs: [{{ targets: ['{target}'] }}]
",
            rules.display()
        );
        std::fs::write(directory.join("prometheus.yaml"), config).unwrap();
        let log = std::fs::File::create(directory.join("log")).unwrap();
        let started = Command::new("prometheus")
            .arg(format!("--config.file={}", directory.join("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        match started {
            Ok(child) => Some(Self { child, port, directory, http: reqwest::Client::new() }),
            Err(error) => {
                let reason = format!("prometheus can't be started ({error})");
                assert!(std::env::var(WITHOUT).is_ok_and(|value| value == "1"), "{reason}; {WITHOUT}=1 does without");
                let test = std::thread::current().name().unwrap_or_default().to_owned();
                // Captured output is shown for failed tests only, and this one is about to pass.
                let _ = writeln!(std::io::stderr(), "\nskipped: {test}: {reason}");
                None
            }
        }
    }

    /// The data of an answer of its API. `None` until it listens.
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let mut url = url::Url::parse(&format!("http://127.0.0.1:{}/api/v1/{path}", self.port)).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let response = self.http.get(url).send().await.ok()?;
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).ok()?;
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        Some(answer["data"].clone())
    }

    /// Waits until an answer is as it should be.
    async fn until(&self, path: &str, query: &[(&str, &str)], holds: impl Fn(&Value) -> bool) -> Value {
        let waited = tokio::time::timeout(support::TEST_TIMEOUT, async {
            loop {
                match self.get(path, query).await {
                    Some(data) if holds(&data) => return data,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{path} {query:?}; see {}", self.directory.display()))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Every query of the dashboard, with values for its variables.
fn queries() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(members) => {
                found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| collect(member, found));
            }
            _ => {}
        }
    }
    let text = std::fs::read_to_string(docs().join("grafana/causeway.json")).unwrap();
    let mut found = Vec::new();
    collect(&serde_json::from_str(&text).unwrap(), &mut found);
    found
        .into_iter()
        .map(|query| query.replace("$__rate_interval", "1m").replace("$topic", ".*").replace("$job", ".*"))
        .collect()
}

#[tokio::test]
async fn prometheus_reads_the_metrics_and_evaluates_every_rule_and_every_query() {
    let (kafka, edge) = (kafka(), Edge::start().await);
    let bridge = used_bridge(&kafka, &edge).await;
    let Some(prometheus) = Prometheus::start(&bridge.admin.to_string()) else { return };
    let is_there = |data: &Value| data["result"].as_array().is_some_and(|found| !found.is_empty());
    prometheus.until("query", &[("query", "causeway_records_delivered_total == 1")], is_there).await;

    // Until the first scrape, an alert finds that there is no bridge.
    let are_calm = |data: &Value| {
        let groups = data["groups"].as_array().unwrap();
        let mut rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).peekable();
        rules.peek().is_some() && rules.all(|rule| rule["health"] == "ok" && rule["state"] == "inactive")
    };
    prometheus.until("rules", &[], are_calm).await;

    let queries = queries();
    assert!(queries.len() > 15, "{queries:?}");
    for query in &queries {
        // Fails if the query is not one.
        prometheus.get("query", &[("query", query)]).await.unwrap();
    }
    bridge.stop().await;
}
