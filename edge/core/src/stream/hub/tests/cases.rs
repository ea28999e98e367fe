//! The cases that the bridge's buffer in Redis satisfies as well.

use causeway_protocol::buffer::cases::{Step, cases, ids_of, is_expected};

use super::*;

/// `hibernates`: the hub is loaded anew for every step.
fn run(hibernates: bool) {
    for case in cases() {
        let (mut world, name) = (World::new(), case.name);
        let start_ms = world.now_ms;
        let mut client: Option<Client> = None;
        // The stream reads at once. What it received is compared when a step says so.
        let mut received = Vec::new();
        for (number, step) in case.steps.into_iter().enumerate() {
            if hibernates {
                world.hibernate();
            }
            let expected = match step {
                Step::Append { at, slice, expected } => {
                    world.now_ms = start_ms + millis(at);
                    assert_eq!(world.try_append(&[slice]), Ok(expected), "{name}, step {number}");
                    received.extend(client.iter().flat_map(|client| world.read_all(client)));
                    continue;
                }
                Step::Open { at, last_event_id, channels, expected } => {
                    world.now_ms = start_ms + millis(at);
                    client.iter().for_each(|client| world.disconnect(client));
                    let opened = world.open_for(1, last_event_id.as_deref(), &channels);
                    received = world.read_all(&opened);
                    client = Some(opened);
                    expected
                }
                Step::History { at, request, expected } => {
                    world.now_ms = start_ms + millis(at);
                    let now_ms = world.now_ms;
                    let page = world.hub().history(&request, now_ms).unwrap();
                    assert_eq!(page.as_ref().map(ids_of), expected, "{name}, step {number}");
                    continue;
                }
                Step::ReadOn { expected } => expected,
            };
            assert!(is_expected(&received, &expected), "{name}, step {number}: {received:?} and not {expected:?}");
            received.clear();
        }
    }
}

#[test]
fn the_hub_satisfies_the_shared_cases() {
    run(false);
}

#[test]
fn the_hub_satisfies_the_shared_cases_if_it_hibernates_before_each_step() {
    run(true);
}
