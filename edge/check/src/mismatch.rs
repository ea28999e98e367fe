//! What is right on each side, and wrong together: settings that edge and bridge must have alike. No message holds
//! a value of a secret.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::config::Source;
use serde::Deserialize;

use crate::given::Runtime;

/// The channel of an edge, and of a bridge, that names none.
const DEFAULT_CHANNEL: &str = "chat";

/// What an entry of `BRIDGE_CHANNELS` is compared by. The bridge checks the rest.
#[derive(Deserialize)]
struct Channel {
    name: String,
}

/// Compares the edge's settings with the environment of a bridge.
pub(crate) fn mismatches(edge: &impl Source, bridge: &BTreeMap<String, String>, runtime: Runtime) -> Vec<String> {
    let ours = |key: &str| edge.get(key).filter(|value| !value.is_empty());
    let theirs = |key: &str| bridge.get(key).filter(|value| !value.is_empty()).cloned();
    let mut problems = Vec::new();
    if let (Some(ours), Some(theirs)) = (ours("BRIDGE_KEYS"), theirs("BRIDGE_KEYS"))
        && !know_each_other(&ours, &theirs)
    {
        problems.push("BRIDGE_KEYS differ: each side must have the other's first key".to_owned());
    }
    problems.extend(match runtime {
        Runtime::Workers => theirs("BRIDGE_REDIS_URL")
            .map(|_| "BRIDGE_REDIS_URL is for an edge on Spin; on Workers the bridge needs BRIDGE_EDGE_URL".to_owned()),
        Runtime::Spin => theirs("BRIDGE_EDGE_URL")
            .map(|_| "BRIDGE_EDGE_URL is for an edge on Workers; on Spin the bridge needs BRIDGE_REDIS_URL".to_owned()),
    });
    for (key, other) in [("PUBLIC_ORIGIN", "BRIDGE_EDGE_URL"), ("REDIS_URL", "BRIDGE_REDIS_URL")] {
        if let (Some(ours), Some(theirs)) = (ours(key), theirs(other))
            && without_slash(&ours) != without_slash(&theirs)
        {
            problems.push(format!("{other} must be the edge's {key}"));
        }
    }
    // Without the edge's variables it is not known whether it has the default.
    if ours("PUBLIC_ORIGIN").is_some() {
        problems.extend(channels(ours("CHANNELS"), theirs("BRIDGE_CHANNELS")));
    }
    problems
}

/// Whether two key rings fit: each side signs with its first key.
fn know_each_other(ours: &str, theirs: &str) -> bool {
    let ring = |text: &str| -> Vec<String> { text.split(',').map(|key| key.trim().to_owned()).collect() };
    let (ours, theirs) = (ring(ours), ring(theirs));
    ours.first().is_some_and(|key| theirs.contains(key)) && theirs.first().is_some_and(|key| ours.contains(key))
}

fn without_slash(url: &str) -> &str {
    let url = url.trim();
    url.strip_suffix('/').unwrap_or(url)
}

fn channels(ours: Option<String>, theirs: Option<String>) -> Vec<String> {
    let ours: BTreeSet<String> =
        ours.as_deref().unwrap_or(DEFAULT_CHANNEL).split(',').map(|name| name.trim().to_owned()).collect();
    let theirs = theirs.map_or_else(
        || Some(vec![Channel { name: DEFAULT_CHANNEL.to_owned() }]),
        // The bridge says what is wrong with it.
        |text| serde_json::from_str::<Vec<Channel>>(&text).ok(),
    );
    let Some(theirs) = theirs else { return Vec::new() };
    let theirs: BTreeSet<String> = theirs.into_iter().map(|channel| channel.name).collect();
    let lacks = |list: &str, name: &String, other: &str| format!("{list} lacks {name} of {other}");
    ours.difference(&theirs)
        .map(|name| lacks("BRIDGE_CHANNELS", name, "CHANNELS"))
        .chain(theirs.difference(&ours).map(|name| lacks("CHANNELS", name, "BRIDGE_CHANNELS")))
        .collect()
}
