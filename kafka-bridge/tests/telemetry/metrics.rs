//! `/metrics` has what docs/metrics.md describes, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{support::redis::RedisServer, *};

/// A family as either of them has it: its kind, and its labels.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// The rows `| name | kind | labels | … |` of the page.
fn documented() -> Families {
    let page = std::fs::read_to_string(docs().join("metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `causeway_"));
    let family = |row: &str| {
        let [name, kind, labels, ..] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else { panic!("{row}") };
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (format!("causeway_{}", name.trim_end_matches('`')), (kind.to_owned(), labels))
    };
    rows.map(family).collect()
}

/// What the bridge serves.
fn exposed(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        }
    }
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = sample.split_once(['{', ' ']).unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .find(|base| families.get(*base).is_some_and(|(kind, _)| kind == "histogram"))
            .unwrap_or(name);
        let (_, labels) = families.get_mut(family).unwrap_or_else(|| panic!("{sample}"));
        if let Some((inside, _)) = rest.split_once('}') {
            let names = inside.split(',').filter_map(|label| Some(label.split_once("=\"")?.0.to_owned()));
            labels.extend(names.filter(|name| name != "le"));
        }
    }
    families
}

/// A label's values in the samples of a family.
fn values(text: &str, family: &str, label: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| line.starts_with(&format!("{family}{{")));
    let value = |line: &str| Some(line.split_once(&format!("{label}=\""))?.1.split('"').next()?.to_owned());
    samples.filter_map(value).collect()
}

#[tokio::test]
async fn the_page_describes_exactly_the_metrics_that_the_bridge_serves() {
    let (kafka, edge) = (kafka(), Edge::start().await);
    let bridge = used_bridge(&kafka, &edge).await;
    let text = scrape(&bridge).await;
    assert_eq!(exposed(&text), documented());
    bridge.stop().await;
}

#[tokio::test]
async fn every_fixed_word_in_a_label_is_described() {
    let (kafka, edge) = (kafka(), Edge::start().await);
    let bridge = used_bridge(&kafka, &edge).await;
    let text = scrape(&bridge).await;
    let page = std::fs::read_to_string(docs().join("metrics.md")).unwrap();
    let words: BTreeSet<_> = page.split('`').skip(1).step_by(2).collect();
    for (family, (_, labels)) in exposed(&text) {
        for label in labels.iter().filter(|label| ["reason", "outcome", "dependency"].contains(&label.as_str())) {
            // docs/events.md describes why a record can't be decoded, and a test compares them.
            for word in values(&text, &family, label).iter().filter(|_| family != "causeway_dead_letters_total") {
                assert!(words.contains(word.as_str()), "{word} of {family}");
            }
        }
    }
    bridge.stop().await;
}

#[tokio::test]
async fn counters_that_alerts_watch_are_there_before_they_count() {
    let (kafka, edge) = (kafka(), Edge::start().await);
    let bridge = used_bridge(&kafka, &edge).await;
    let text = scrape(&bridge).await;
    for line in [
        "causeway_dead_letters_total{reason=\"parked\",topic=\"chat.outbound\"} 0",
        "causeway_lost_to_retention_total{partition=\"0\",topic=\"chat.outbound\"} 0",
        "causeway_gaps_total{reason=\"parked\"} 0",
        "causeway_delivery_failures_total{reason=\"unreachable\"} 0",
        "causeway_produce_failures_total{reason=\"timeout\"} 0",
        "causeway_stream_resets_total{reason=\"out_of_buffer\"} 0",
        "causeway_kafka_rebuilds_total 0",
        "causeway_incomplete_parked_reads_total 0",
        "causeway_replans_total{topic=\"chat.outbound\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn what_happens_to_records_is_counted() {
    let (kafka, edge) = (kafka(), Edge::start().await);
    let bridge = used_bridge(&kafka, &edge).await;
    edge.state().refused_text = Some("refused".to_owned());
    kafka.append_text(TOPIC, 0, "github:1", "refused");
    kafka.append_undecodable(TOPIC, 0, 2, "a null header value");
    kafka.append_text(TOPIC, 0, "github:1", "after the gap");
    until("all are done", || edge.state().next_offset(0) == Some(5)).await;
    let text = scrape(&bridge).await;
    for line in [
        "causeway_produced_records_total{topic=\"chat.inbound\"} 1",
        "causeway_produced_records_total{topic=\"chat.outbound\"} 1",
        "causeway_produce_seconds_count{topic=\"chat.inbound\"} 1",
        "causeway_produce_queue_records{partition=\"0\",topic=\"chat.inbound\"} 0",
        "causeway_produce_queue_bytes{partition=\"0\",topic=\"chat.inbound\"} 0",
        "causeway_records_delivered_total{topic=\"chat.outbound\"} 2",
        "causeway_dead_letters_total{reason=\"refused_by_edge\",topic=\"chat.outbound\"} 1",
        "causeway_dead_letters_total{reason=\"undecodable\",topic=\"chat.outbound\"} 1",
        "causeway_gaps_total{reason=\"undeliverable\"} 2",
        "causeway_undecodable_total{partition=\"0\",topic=\"chat.outbound\"} 2",
        "causeway_partitions{topic=\"chat.outbound\"} 1",
        "causeway_topic_partitions{topic=\"chat.outbound\"} 1",
        "causeway_dependency_up{dependency=\"kafka\"} 1",
        "causeway_dependency_up{dependency=\"edge\"} 1",
        "causeway_edge_other_version 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    bridge.stop().await;
}

/// Scrapes until the text is as wanted, and returns it.
async fn scrape_until(bridge: &Bridge, is_wanted: impl Fn(&str) -> bool) -> String {
    let becomes = async {
        loop {
            let text = scrape(bridge).await;
            if is_wanted(&text) {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(support::TEST_TIMEOUT, becomes).await.unwrap()
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|found| found == line)
}

#[tokio::test]
async fn a_topic_of_which_no_partition_is_read_is_shown_with_zero() {
    let (kafka, edge) = (kafka(), Edge::start().await);
    // The only partition is the other instance's.
    let other = [("BRIDGE_REPLICA", "1"), ("BRIDGE_REPLICAS", "2")];
    let bridge = Bridge::start_with(kafka, &edge.url, &other, tuning()).await;
    let text =
        scrape_until(&bridge, |text| has_line(text, "causeway_topic_partitions{topic=\"chat.outbound\"} 1")).await;
    assert!(has_line(&text, "causeway_partitions{topic=\"chat.outbound\"} 0"), "{text}");
    bridge.stop().await;
}

#[tokio::test]
async fn an_edge_that_is_never_called_is_not_shown_as_down() {
    let (kafka, edge) = (kafka(), Edge::start().await);
    let inbound_only = [("BRIDGE_CHANNELS", r#"[{"name":"chat","inbound":"chat.inbound"}]"#)];
    let bridge = Bridge::start_with(kafka, &edge.url, &inbound_only, tuning()).await;
    let text = scrape_until(&bridge, |text| has_line(text, "causeway_dependency_up{dependency=\"kafka\"} 1")).await;
    assert_eq!(values(&text, "causeway_dependency_up", "dependency"), ["kafka".to_owned()].into());
    bridge.stop().await;
}

#[tokio::test]
async fn the_state_of_redis_is_shown() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = Bridge::on_redis(kafka(), &redis, &[], Tuning::default()).await;
    scrape_until(&bridge, |text| {
        values(text, "causeway_dependency_up", "dependency") == ["kafka", "redis"].map(str::to_owned).into()
            && has_line(text, "causeway_dependency_up{dependency=\"redis\"} 1")
    })
    .await;
    bridge.stop().await;
}
