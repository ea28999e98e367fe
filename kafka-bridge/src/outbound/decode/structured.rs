//! CloudEvents in structured mode: the value contains the whole event in the JSON format of CloudEvents, or a list of
//! such events.

use std::{borrow::Cow, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    DecodeError,
    event::{Attributes, Decoded},
    header::{Headers, check_attribute, check_version, traceparent},
    place::Place,
};

/// The maximum number of events in a batch.
const MAX_BATCH_EVENTS: usize = 100;

/// CloudEvents refers to RFC 4648, whose padding some producers leave out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The members that are used. `subject` is not: the record's key decides who receives the event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    time: Option<Cow<'a, str>>,
    traceparent: Option<Cow<'a, str>>,
    datacontenttype: Option<Cow<'a, str>>,
    /// A Boolean, or its text from a producer whose extensions are all texts.
    #[serde(borrow)]
    causewayecho: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    data_base64: Option<Cow<'a, str>>,
}

/// Reads one event.
pub(super) fn read(headers: &Headers, json: &str, place: &Place<'_>) -> Result<Decoded, DecodeError> {
    let event: Event<'_> = parse(json)?;
    // serde also reads the members from a list.
    if json.trim_start().starts_with('[') {
        return Err(DecodeError::NotCloudEvent);
    }
    check_version(&event.specversion)?;
    let attributes = Attributes {
        id: Some(check_attribute(&event.id)?),
        kind: Some(check_attribute(&event.kind)?),
        time: event.time.as_deref(),
        traceparent: event.traceparent.as_deref().or_else(|| traceparent(headers)),
        is_echo: event.causewayecho.is_some_and(|value| matches!(value.get(), "true" | "\"true\"")),
    };
    Ok(attributes.into_event(place, data(&event)?))
}

/// Reads a list of events. If one of them can't be read, none is: a record is delivered whole or not at all.
pub(super) fn read_batch(headers: &Headers, json: &str, place: &Place<'_>) -> Result<Vec<Decoded>, DecodeError> {
    let Batch { events, is_longer } = parse(json)?;
    if is_longer {
        return Err(DecodeError::TooManyEvents);
    }
    if events.is_empty() {
        return Err(DecodeError::EmptyBatch);
    }
    events.into_iter().map(|event| read(headers, event.get(), place)).collect()
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, DecodeError> {
    serde_json::from_str(json).map_err(|_| {
        let is_json = serde_json::from_str::<IgnoredAny>(json).is_ok();
        if is_json { DecodeError::NotCloudEvent } else { DecodeError::NotJson }
    })
}

fn data(event: &Event<'_>) -> Result<Box<RawValue>, DecodeError> {
    match (event.data, &event.data_base64) {
        (Some(_), Some(_)) => Err(DecodeError::NotCloudEvent),
        (None, Some(base64)) => decode_base64(base64, event.datacontenttype.as_deref()),
        (Some(data), None) => Ok(data.to_owned()),
        (None, None) => Ok(RawValue::NULL.to_owned()),
    }
}

/// What the bytes contain, if that can be shown as JSON: JSON, or text.
fn decode_base64(base64: &str, media_type: Option<&str>) -> Result<Box<RawValue>, DecodeError> {
    let bytes = BASE64.decode(base64).map_err(|_| DecodeError::BinaryData)?;
    let text = String::from_utf8(bytes).map_err(|_| DecodeError::BinaryData)?;
    let as_text = |text: &str| to_raw_value(text).map_err(|_| DecodeError::BinaryData);
    match media_type.map(is_json) {
        Some(true) => RawValue::from_string(text).map_err(|_| DecodeError::NotJson),
        Some(false) => as_text(&text),
        None => serde_json::from_str(&text).or_else(|_| as_text(&text)),
    }
}

/// Whether a media type is JSON, by the rule of the CloudEvents JSON format (§3.1): its subtype is `json` or ends in
/// `+json`.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// The first events of a list, and whether there are more. What follows is not kept, so a list of many tiny values
/// costs no memory.
struct Batch<'a> {
    events: Vec<&'a RawValue>,
    is_longer: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Batch<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BatchVisitor)
    }
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Batch<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Batch<'de>, A::Error> {
        let mut events = Vec::new();
        while events.len() < MAX_BATCH_EVENTS {
            match list.next_element()? {
                Some(event) => events.push(event),
                None => return Ok(Batch { events, is_longer: false }),
            }
        }
        let mut is_longer = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            is_longer = true;
        }
        Ok(Batch { events, is_longer })
    }
}
